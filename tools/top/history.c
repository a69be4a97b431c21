// Block elements U+2581 (one eighth) to U+2588 (full), one value each.
#include "top/history.h"

void top_history_add(struct top_history *history, double value) {
    history->values[history->next] = value;
    history->next = (history->next + 1) % TOP_HISTORY_MAX;
    history->count = CV_MIN(history->count + 1, TOP_HISTORY_MAX);
}

// The value `age` places before the newest.
static double value_at(const struct top_history *history, unsigned age) {
    return history->values[(history->next + TOP_HISTORY_MAX - 1 - age) % TOP_HISTORY_MAX];
}

double top_history_last(const struct top_history *history) {
    return history->count > 0 ? value_at(history, 0) : 0;
}

double top_history_max(const struct top_history *history, unsigned count) {
    double largest = 0;
    for (unsigned age = 0; age < CV_MIN(count, history->count); age++) {
        largest = CV_MAX(largest, value_at(history, age));
    }
    return largest;
}

uint16_t top_history_glyph(double value, double largest) {
    if (value <= 0 || largest <= 0) {
        return ' ';
    }
    unsigned eighths = (unsigned)(value / largest * 8 + 0.5);
    return (uint16_t)(0x2580u + CV_MIN(CV_MAX(eighths, 1u), 8u));
}

void top_history_draw(const struct top_history *history, struct top_page *page, unsigned column,
                      unsigned width) {
    double largest = top_history_max(history, width);
    for (unsigned age = 0; age < CV_MIN(width, history->count); age++) {
        top_page_glyph(page, column + width - 1 - age, TOP_BAR,
                       top_history_glyph(value_at(history, age), largest));
    }
}
