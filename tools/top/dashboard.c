#include "top/dashboard.h"

#include "top/keys.h"

void top_dashboard_begin(struct top_dashboard *dashboard, double seconds, unsigned view) {
    dashboard->seconds = seconds;
    dashboard->view = view;
    dashboard->is_paused = false;
    dashboard->has_help = false;
    dashboard->help = (struct top_choice){0};
    dashboard->page_lines = 1;
    for (unsigned i = 0; i < TOP_VIEW_COUNT; i++) {
        dashboard->choices[i] = top_views[i]->choice;
    }
}

double top_dashboard_pace(double seconds, bool is_longer) {
    static const double paces[] = {0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60};
    const unsigned count = CV_ARRAY_COUNT(paces);
    for (unsigned i = 0; i < count; i++) {
        double pace = paces[is_longer ? i : count - 1 - i];
        if (is_longer ? pace > seconds : pace < seconds) {
            return pace;
        }
    }
    return seconds;
}

static enum top_wish show_view(struct top_dashboard *dashboard, unsigned view) {
    dashboard->view = view;
    dashboard->has_help = false;
    return TOP_WISH_FRAME;
}

static enum top_wish sort_by(struct top_choice *choice, unsigned column) {
    choice->sorted = column;
    choice->shows_sorted = true;
    choice->line = 0;
    return TOP_WISH_FRAME;
}

// The frame brings what is too large into its limits.
static enum top_wish scroll(struct top_choice *choice, int key, unsigned page_lines) {
    const unsigned far = UINT32_MAX / 2;
    switch (key) {
    case TOP_KEY_UP:
        choice->line -= choice->line > 0;
        break;
    case TOP_KEY_DOWN:
        choice->line++;
        break;
    case TOP_KEY_PAGE_UP:
        choice->line -= CV_MIN(choice->line, page_lines);
        break;
    case TOP_KEY_PAGE_DOWN:
        choice->line += page_lines;
        break;
    case TOP_KEY_HOME:
        choice->line = 0;
        choice->sideways = 0;
        break;
    case TOP_KEY_END:
        choice->line = far;
        break;
    case TOP_KEY_LEFT:
        choice->sideways -= choice->sideways > 0;
        break;
    case TOP_KEY_RIGHT:
        choice->sideways++;
        break;
    default:
        return TOP_WISH_NOTHING;
    }
    choice->shows_sorted = false;
    return TOP_WISH_FRAME;
}

static enum top_wish set_pace(struct top_dashboard *dashboard, bool is_longer) {
    double seconds = top_dashboard_pace(dashboard->seconds, is_longer);
    bool is_new = seconds != dashboard->seconds;
    dashboard->seconds = seconds;
    return is_new ? TOP_WISH_PACE : TOP_WISH_NOTHING;
}

enum top_wish top_dashboard_key(struct top_dashboard *dashboard, int key) {
    const struct top_view *view = top_views[dashboard->view];
    struct top_choice *choice = &dashboard->choices[dashboard->view];
    if (key >= '1' && key < '1' + (int)TOP_VIEW_COUNT) {
        return show_view(dashboard, (unsigned)(key - '1'));
    }
    switch (key) {
    case 'q':
    case 'Q':
        return TOP_WISH_QUIT;
    case '\t':
        return show_view(dashboard, (dashboard->view + 1) % TOP_VIEW_COUNT);
    case TOP_KEY_BACK_TAB:
        return show_view(dashboard, (dashboard->view + TOP_VIEW_COUNT - 1) % TOP_VIEW_COUNT);
    case 'h':
    case '?':
        dashboard->has_help = !dashboard->has_help;
        dashboard->help.line = 0;
        return TOP_WISH_FRAME;
    case TOP_KEY_ESCAPE:
        dashboard->has_help = false;
        return TOP_WISH_FRAME;
    case 'p':
    case ' ':
        dashboard->is_paused = !dashboard->is_paused;
        return dashboard->is_paused ? TOP_WISH_FRAME : TOP_WISH_RESUME;
    case '+':
    case '=':
        return set_pace(dashboard, true);
    case '-':
        return set_pace(dashboard, false);
    case 't':
        choice->is_total = !choice->is_total;
        choice->line = 0;
        return TOP_WISH_FRAME;
    case 's':
        return sort_by(choice, (choice->sorted + 1) % view->column_count);
    case 'S':
        return sort_by(choice, (choice->sorted + view->column_count - 1) % view->column_count);
    case 'r':
        return TOP_WISH_REBASE;
    case '\f':
        return TOP_WISH_FRAME;
    default:
        return scroll(dashboard->has_help ? &dashboard->help : choice, key, dashboard->page_lines);
    }
}
