// The root is at the bottom and callees stand on their callers. A frame is a group: a title (which
// browsers show as a tooltip and read aloud), its rectangle, and as much of its name as fits. Where
// it begins and how wide it is, in weights, stands in data attributes for the script.
#include "profile/flame_svg.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 1200.0
#define MARGIN 10.0
#define HEAD 92.0  // title, subtitle, legend, tools
#define FOOT 34.0  // what the pointer is on
#define ROW 17.0
#define WIDTH_MIN 0.1         // below it nothing is drawn
#define CHARACTER 7.23        // of the 12 px monospace font
#define TITLE_BYTES_MAX 116u  // as many as have room

// The script and the style as they are, by the assembler; it looks for them from where make runs.
// clang-format off
#define EMBED(name, file) \
    __asm__(".pushsection .rodata\n" \
            ".global cv_flame_svg_" #name "\n.hidden cv_flame_svg_" #name "\n" \
            "cv_flame_svg_" #name ":\n.incbin \"src/profile/" file "\"\n.byte 0\n" \
            ".popsection\n"); \
    extern const char cv_flame_svg_##name[]
// clang-format on

EMBED(script, "flame_svg.js");
EMBED(style, "flame_svg.css");

// One hue for each origin; functions differ a little in lightness, the same one never.
static const struct {
    uint8_t red, green, blue;
} colours[CV_ORIGIN_COUNT] = {
    [CV_ORIGIN_THREAD] = {214, 210, 202},  [CV_ORIGIN_SERVER] = {240, 168, 88},
    [CV_ORIGIN_MODULE] = {242, 206, 78},   [CV_ORIGIN_LIBURING] = {126, 196, 126},
    [CV_ORIGIN_LIBC] = {150, 196, 214},    [CV_ORIGIN_OTHER] = {182, 206, 170},
    [CV_ORIGIN_KERNEL] = {228, 132, 116},  [CV_ORIGIN_BPF] = {190, 160, 220},
    [CV_ORIGIN_UNKNOWN] = {200, 200, 200},
};

struct drawing {
    const struct cv_flame_tree *tree;
    const struct cv_flame_svg_text *text;
    FILE *file;
    double scale;  // px per weight
    double base;   // y of the root's row
    uint64_t weight_min;
    uint32_t left_out;
    uint32_t depth_max;
    uint64_t own[CV_ORIGIN_COUNT];
};

static void put_text(FILE *file, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '&')
            fputs("&amp;", file);
        else if (byte == '<')
            fputs("&lt;", file);
        else if (byte == '>')
            fputs("&gt;", file);
        else if (byte < ' ' || byte > '~')
            fputc('?', file);
        else
            fputc(byte, file);
    }
}

static void put_all(FILE *file, const char *text) {
    put_text(file, text, strlen(text));
}

static double share(const struct drawing *drawing, uint64_t weight) {
    return 100.0 * (double)weight / (double)drawing->tree->nodes[0].total;
}

static void put_label(FILE *file, const char *name, double space) {
    size_t length = strlen(name);
    size_t room = space > 6 ? (size_t)((space - 6) / CHARACTER) : 0;

    if (length <= room) {
        put_all(file, name);
    } else if (room >= 3) {
        put_text(file, name, room - 1);
        fputs("…", file);
    }
}

static void put_fill(FILE *file, const struct cv_frame *frame) {
    uint32_t hash = 2166136261u;

    for (const char *at = frame->name; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    int change = (int)(hash >> 8 & 31) - 16;
    fprintf(file, "#%02x%02x%02x", CV_MIN(colours[frame->origin].red + change, 255),
            CV_MIN(colours[frame->origin].green + change, 255),
            CV_MIN(colours[frame->origin].blue + change, 255));
}

static void put_frame(const struct drawing *drawing, const struct cv_flame_node *node,
                      uint64_t at) {
    FILE *file = drawing->file;
    double x = MARGIN + (double)at * drawing->scale;
    double y = drawing->base - node->depth * ROW;
    double width = (double)node->total * drawing->scale;

    fprintf(file, "<g class=\"frame\" data-x=\"%" PRIu64 "\" data-n=\"%" PRIu64 "\" data-d=\"%u\">",
            at, node->total, node->depth);
    fputs("<title>", file);
    put_all(file, node->frame.name);
    fprintf(file, "\n(%s) %" PRIu64 " ", cv_symbols_origin_name(node->frame.origin), node->total);
    put_all(file, drawing->text->unit);
    fprintf(file, ", %.2f %%", share(drawing, node->total));
    if (node->own > 0 && node->first_child != 0)
        fprintf(file, ", itself %.2f %%", share(drawing, node->own));
    fprintf(file, "</title><rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%.0f\" fill=\"", x,
            y, width, ROW - 1);
    put_fill(file, &node->frame);
    fprintf(file, "\"/><text x=\"%.2f\" y=\"%.0f\">", x + 3, y + 12);
    put_label(file, node->frame.name, width);
    fputs("</text></g>\n", file);
}

static void draw(struct drawing *drawing, uint32_t index, uint64_t at) {
    const struct cv_flame_node *node = &drawing->tree->nodes[index];

    if (node->total < drawing->weight_min) {
        drawing->left_out++;
        return;
    }
    put_frame(drawing, node, at);
    for (uint32_t child = node->first_child; child != 0;
         child = drawing->tree->nodes[child].next_sibling) {
        draw(drawing, child, at);
        at += drawing->tree->nodes[child].total;
    }
}

static void survey(struct drawing *drawing) {
    for (uint32_t i = 0; i < drawing->tree->count; i++) {
        const struct cv_flame_node *node = &drawing->tree->nodes[i];
        drawing->own[node->frame.origin] += node->own;
        if (node->total >= drawing->weight_min)
            drawing->depth_max = CV_MAX(drawing->depth_max, node->depth);
    }
}

// Whose code the time was spent in, by the innermost functions.
static void put_legend(const struct drawing *drawing) {
    double x = MARGIN;

    for (unsigned origin = 0; origin < CV_ORIGIN_COUNT; origin++) {
        char label[64];
        if (drawing->own[origin] == 0)
            continue;
        int length = snprintf(label, sizeof(label), "%s %.1f %%",
                              cv_symbols_origin_name((enum cv_origin)origin),
                              share(drawing, drawing->own[origin]));
        fprintf(drawing->file,
                "<rect x=\"%.1f\" y=\"65\" width=\"12\" height=\"12\" fill=\"#%02x%02x%02x\"/>"
                "<text class=\"note\" x=\"%.1f\" y=\"75\">%s</text>\n",
                x, colours[origin].red, colours[origin].green, colours[origin].blue, x + 17, label);
        x += 17 + length * 6.6 + 16;
    }
}

static void put_head(const struct drawing *drawing, double height) {
    FILE *file = drawing->file;

    fprintf(file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" role=\"document\" aria-labelledby=\"title subtitle\">\n"
            "<style>\n%s</style>\n<rect class=\"back\" width=\"100%%\" height=\"100%%\"/>\n"
            "<text id=\"title\" class=\"title\" x=\"%.0f\" y=\"26\">",
            WIDTH, height, WIDTH, height, cv_flame_svg_style, MARGIN);
    size_t title_bytes = strlen(drawing->text->title);
    put_text(file, drawing->text->title, CV_MIN(title_bytes, TITLE_BYTES_MAX));
    fputs(title_bytes > TITLE_BYTES_MAX ? "…" : "", file);
    fprintf(file, "</text>\n<text id=\"subtitle\" class=\"note\" x=\"%.0f\" y=\"48\">", MARGIN);
    put_all(file, drawing->text->subtitle);
    fputs("</text>\n", file);
    put_legend(drawing);
    fprintf(file,
            "<foreignObject x=\"%.0f\" y=\"58\" width=\"400\" height=\"28\"><div class=\"tools\" "
            "xmlns=\"http://www.w3.org/1999/xhtml\" hidden=\"hidden\">"
            "<button type=\"button\" hidden=\"hidden\">Show all</button>"
            "<input type=\"search\" placeholder=\"search (/)\" aria-label=\"Search functions\"/>"
            "</div></foreignObject>\n",
            WIDTH - MARGIN - 400);
}

static void put_foot(const struct drawing *drawing, double height) {
    FILE *file = drawing->file;

    fprintf(file, "<text class=\"details\" x=\"%.0f\" y=\"%.0f\" aria-live=\"polite\"></text>\n",
            MARGIN, height - 12);
    fprintf(file, "<text class=\"found\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\"></text>\n",
            WIDTH - MARGIN, height - 12);
    if (drawing->left_out > 0)
        fprintf(file, "<desc>%u branches are narrower than %.1f px and left out</desc>\n",
                drawing->left_out, WIDTH_MIN);
    fprintf(file, "<script><![CDATA[\n%s]]></script>\n</svg>\n", cv_flame_svg_script);
}

void cv_flame_svg_write(const struct cv_flame_tree *tree, const struct cv_flame_svg_text *text,
                        FILE *file) {
    double scale = (WIDTH - 2 * MARGIN) / (double)tree->nodes[0].total;
    struct drawing drawing = {.tree = tree,
                              .text = text,
                              .file = file,
                              .scale = scale,
                              .weight_min = CV_MAX((uint64_t)(WIDTH_MIN / scale), 1)};

    survey(&drawing);
    double height = HEAD + (drawing.depth_max + 1) * ROW + FOOT;
    drawing.base = HEAD + drawing.depth_max * ROW;
    put_head(&drawing, height);
    draw(&drawing, 0, 0);
    put_foot(&drawing, height);
}
