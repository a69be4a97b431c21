// The assembler copies the files in, so they stay what an editor and a browser know, and no tool
// turns them into C. It looks for them from where make runs; the Makefile knows of the dependency.
#include "profile/page_assets.h"

#include "base/compiler.h"

#define SCRIPT_TYPE "text/javascript; charset=utf-8"

// clang-format off
#define EMBED(name, file) \
    __asm__(".pushsection .rodata\n" \
            ".global cv_page_" #name "\n.hidden cv_page_" #name "\n" \
            ".global cv_page_" #name "_end\n.hidden cv_page_" #name "_end\n" \
            "cv_page_" #name ":\n.incbin \"src/profile/page/" file "\"\n" \
            "cv_page_" #name "_end:\n.byte 0\n" \
            ".popsection\n"); \
    extern const char cv_page_##name[], cv_page_##name##_end[]
// clang-format on

EMBED(html, "index.html");
EMBED(script, "page.js");
EMBED(plots, "plots.js");
EMBED(style, "page.css");

static const struct {
    struct cv_span path;
    struct cv_span content_type;
    const char *begin;
    const char *end;
} rows[] = {
    {CV_SPAN("/"), CV_SPAN("text/html; charset=utf-8"), cv_page_html, cv_page_html_end},
    {CV_SPAN("/page.js"), CV_SPAN(SCRIPT_TYPE), cv_page_script, cv_page_script_end},
    {CV_SPAN("/plots.js"), CV_SPAN(SCRIPT_TYPE), cv_page_plots, cv_page_plots_end},
    {CV_SPAN("/page.css"), CV_SPAN("text/css; charset=utf-8"), cv_page_style, cv_page_style_end},
};

bool cv_page_assets_find(struct cv_span path, struct cv_span *content_type, struct cv_span *body) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(rows); i++) {
        if (cv_span_equal(rows[i].path, path)) {
            *content_type = rows[i].content_type;
            *body = cv_span_make(rows[i].begin, (size_t)(rows[i].end - rows[i].begin));
            return true;
        }
    }
    return false;
}
