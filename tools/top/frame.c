// From top to bottom: who is watched, what is measured, requests a second over time, the tabs; then
// the page with its frozen lines; then one line that explains.
#include "top/frame.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "top/help.h"

#define NS_PER_S 1e9
#define HEADER_LINES 4u
#define GAP 3u  // Columns between items.
#define ITEM_BYTES 192u

static struct top_page header_page, view_page, bottom_page;

// One item of the header in the making.
struct item {
    char text[ITEM_BYTES];
    size_t length;
};

static CV_PRINTF(2, 3) void append(struct item *item, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(item->text + item->length, ITEM_BYTES - item->length, format, arguments);
    va_end(arguments);
    item->length = CV_MIN(item->length + (size_t)CV_MAX(more, 0), ITEM_BYTES - 1);
}

// Puts words behind those that are there, if they fit as a whole: half a number is a wrong one.
static void put_item(struct top_page *page, unsigned *column, enum top_style style,
                     const char *text) {
    unsigned length = (unsigned)strlen(text);
    unsigned begin = *column == 0 ? 0 : *column + GAP;
    if (begin + length <= page->width) {
        *column = top_page_put(page, begin, style, text);
    }
}

static void put_duration(struct top_page *page, unsigned *column, const char *before,
                         double seconds) {
    struct item item = {.length = 0};
    char duration[TOP_QUANTITY_BYTES];
    top_quantity(duration, TOP_DURATION, seconds);
    append(&item, "%s %s", before, duration);
    put_item(page, column, TOP_PLAIN, item.text);
}

static void write_identity(struct top_page *page, const struct top_dashboard *dashboard) {
    const struct cv_snapshot *now = &dashboard->sample.now;
    const struct covet_stats_header *server = &now->server;
    uint32_t restarts = server->server_starts > 0 ? server->server_starts - 1 : 0;
    struct item process = {.length = 0}, starts = {.length = 0};
    unsigned column = 0;

    top_page_line(page);
    put_item(page, &column, TOP_STRONG, "covet-top");
    if (dashboard->is_paused) {
        put_item(page, &column, TOP_WARN, "PAUSED");
    }
    if (server->server_pid == 0) {
        put_item(page, &column, TOP_BAD, "no server: waiting for its restart");
    } else {
        append(&process, "server %" PRIu32, server->server_pid);
        put_item(page, &column, TOP_PLAIN, process.text);
    }
    put_duration(page, &column, "up", (double)(now->taken_ns - server->start_ns) / NS_PER_S);
    append(&starts, "restarts %" PRIu32, restarts);
    put_item(page, &column, restarts > 0 ? TOP_WARN : TOP_PLAIN, starts.text);
    put_duration(page, &column, "every", dashboard->seconds);
    put_duration(page, &column, "since baseline",
                 (double)dashboard->sample.since.interval_ns / NS_PER_S);
}

// Appends "0-3,6": the cores that workers run on, each once.
static void append_cores(struct item *item, const struct cv_snapshot *snapshot) {
    bool is_used[CV_CPU_INDEX_MAX + 2] = {false};
    const char *comma = "";
    for (uint32_t i = 0; i < snapshot->worker_count; i++) {
        uint32_t cpu = snapshot->workers[i].cpu;
        if (snapshot->workers[i].thread_id != 0 && cpu <= CV_CPU_INDEX_MAX) {
            is_used[cpu] = true;
        }
    }
    for (unsigned first = 0; first <= CV_CPU_INDEX_MAX; first++) {
        unsigned end = first;
        for (; is_used[end]; end++) {
        }
        if (end > first + 1) {
            append(item, "%s%u-%u", comma, first, end - 1);
        } else if (end > first) {
            append(item, "%s%u", comma, first);
        }
        comma = end > first ? "," : comma;
        first = CV_MAX(first, end);
    }
}

static void write_source(struct top_page *page, const struct cv_snapshot *now) {
    struct item ports = {.length = 0}, cores = {.length = 0}, source = {.length = 0};
    unsigned column = 0;

    top_page_line(page);
    for (uint32_t i = 0; i < CV_MIN(now->server.port_count, COVET_STATS_PORTS_MAX); i++) {
        append(&ports, "%s%u", i == 0 ? "port " : ",", now->server.port[i]);
    }
    if (ports.length > 0) {
        put_item(page, &column, TOP_PLAIN, ports.text);
    }
    append(&cores, "core ");
    append_cores(&cores, now);
    put_item(page, &column, TOP_PLAIN, cores.text);
    if (now->has_bpf) {
        append(&source, "level %" PRIu32 ": %" PRIu32 " programs of covet-prof", now->info.level,
               now->info.programs);
        put_item(page, &column, TOP_GOOD, source.text);
    } else if (now->bpf_note[0] != '\0') {
        append(&source, "level 0: %s", now->bpf_note);
        top_page_put(page, column + GAP, TOP_WARN, source.text);
    } else {
        put_item(page, &column, TOP_WARN, "level 0: no profiler");
        put_item(page, &column, TOP_DIM, "to start it: sudo covet-prof");
    }
}

static void write_requests(struct top_page *page, const struct top_history *history) {
    const unsigned line_begin = 19;
    char now[TOP_QUANTITY_BYTES], most[TOP_QUANTITY_BYTES], text[40];
    top_page_line(page);
    top_page_put(page, 0, TOP_PLAIN, "requests/s");
    if (history->count == 0) {
        return;
    }
    top_quantity(now, TOP_COUNT, top_history_last(history));
    top_page_put_right(page, line_begin - 1, TOP_STRONG, now);
    unsigned width = page->width - line_begin - CV_MIN(page->width - line_begin, 14u);
    width = CV_MIN(width, TOP_HISTORY_MAX);
    top_quantity(most, TOP_COUNT, top_history_max(history, width));
    snprintf(text, sizeof(text), "max %s", most);
    top_page_put_right(page, page->width, TOP_DIM, text);
    top_history_draw(history, page, line_begin, width);
}

static void write_tabs(struct top_page *page, const struct top_dashboard *dashboard) {
    unsigned column = 0;
    top_page_line(page);
    for (unsigned i = 0; i < TOP_VIEW_COUNT; i++) {
        bool is_shown = i == dashboard->view && !dashboard->has_help;
        column = top_page_print(page, column, is_shown ? TOP_SORTED : TOP_PLAIN, " %u %s ", i + 1,
                                top_views[i]->title);
    }
    const char *keys = "h help  q quit";
    if (column + 1 + strlen(keys) <= page->width) {
        top_page_put_right(page, page->width, TOP_DIM, keys);
    }
}

static void write_header(const struct top_dashboard *dashboard, unsigned width) {
    top_page_begin(&header_page, width);
    write_identity(&header_page, dashboard);
    write_source(&header_page, &dashboard->sample.now);
}

static void write_view(struct top_dashboard *dashboard, unsigned width) {
    top_page_begin(&view_page, width);
    if (dashboard->has_help) {
        top_help_write(&view_page, top_views[dashboard->view]);
    } else if (!dashboard->sample.has_change) {
        top_page_line(&view_page);
        top_page_put(&view_page, 0, TOP_DIM, "measuring ...");
    } else {
        top_views[dashboard->view]->write(&view_page, &dashboard->sample,
                                          &dashboard->choices[dashboard->view]);
    }
}

// What the sorted column means, and which lines are in sight.
static void write_bottom(const struct top_dashboard *dashboard, unsigned width, unsigned first,
                         unsigned last, unsigned count) {
    const struct top_view *view = top_views[dashboard->view];
    const struct top_column *column = &view->columns[dashboard->choices[dashboard->view].sorted];
    char text[40];
    unsigned end = width;
    top_page_begin(&bottom_page, width);
    top_page_line(&bottom_page);
    if (dashboard->has_help) {
        top_page_put(&bottom_page, 0, TOP_DIM, "h or Escape: back");
    } else {
        top_page_print(&bottom_page, 0, TOP_DIM, "sorted by %s%s%s: %s",
                       column->group != NULL ? column->group : "", column->group != NULL ? " " : "",
                       column->title, column->meaning);
    }
    if (count > last - first) {
        snprintf(text, sizeof(text), "  %u-%u of %u", first + 1, last, count);
        end -= CV_MIN(end, (unsigned)strlen(text));
        top_page_put(&bottom_page, end, TOP_STRONG, text);
    }
}

static void draw_too_small(struct top_screen *screen, unsigned width, unsigned height) {
    top_page_begin(&header_page, width);
    top_page_line(&header_page);
    top_page_print(&header_page, 0, TOP_PLAIN, "%ux%u: too small", width, height);
    top_page_line(&header_page);
    top_page_print(&header_page, 0, TOP_PLAIN, "needs %ux%u", TOP_FRAME_WIDTH_MIN,
                   TOP_FRAME_HEIGHT_MIN);
    top_screen_begin(screen);
    for (unsigned i = 0; i < CV_MIN(height, 2u); i++) {
        top_screen_line(screen, &header_page, i);
    }
    top_screen_end(screen, height);
}

void top_frame_draw(struct top_screen *screen, struct top_dashboard *dashboard, unsigned width,
                    unsigned height) {
    width = CV_MIN(width, TOP_PAGE_WIDTH_MAX);
    if (width < TOP_FRAME_WIDTH_MIN || height < TOP_FRAME_HEIGHT_MIN) {
        draw_too_small(screen, width, height);
        return;
    }
    struct top_choice *choice =
        dashboard->has_help ? &dashboard->help : &dashboard->choices[dashboard->view];
    write_header(dashboard, width);
    write_requests(&header_page, &dashboard->sample.requests);
    write_tabs(&header_page, dashboard);
    write_view(dashboard, width);

    unsigned room = height - HEADER_LINES - 1 - view_page.frozen;
    unsigned count = view_page.line_count - view_page.frozen;
    choice->line = CV_MIN(choice->line, count - CV_MIN(count, room));
    dashboard->page_lines = room > 1 ? room - 1 : 1;
    unsigned last = CV_MIN(choice->line + room, count);

    top_screen_begin(screen);
    for (unsigned i = 0; i < HEADER_LINES; i++) {
        top_screen_line(screen, &header_page, i);
    }
    for (unsigned i = 0; i < view_page.frozen; i++) {
        top_screen_line(screen, &view_page, i);
    }
    for (unsigned i = choice->line; i < last; i++) {
        top_screen_line(screen, &view_page, view_page.frozen + i);
    }
    top_page_begin(&bottom_page, width);
    top_page_line(&bottom_page);
    for (unsigned i = last - choice->line; i < room; i++) {
        top_screen_line(screen, &bottom_page, 0);
    }
    write_bottom(dashboard, width, choice->line, last, count);
    top_screen_line(screen, &bottom_page, 0);
    top_screen_end(screen, height);
}

void top_frame_text(struct top_screen *screen, struct top_dashboard *dashboard, unsigned width) {
    write_header(dashboard, width);
    top_screen_text(screen, &header_page);
    write_view(dashboard, width);
    top_screen_text(screen, &view_page);
}
