#include "profile/kallsyms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// "ffffffff81000000 T name" and, behind a tab, "[module]". Cuts the line up in place.
static bool read_line(char *line, struct cv_kallsyms_function *function) {
    char *at;

    function->address = strtoull(line, &at, 16);
    if (at == line || at[0] != ' ' || at[1] == '\0' || strchr("tTwW", at[1]) == NULL ||
        at[2] != ' ')
        return false;
    function->name = at + 3;
    function->module = "";
    at = strchr(function->name, '\t');
    if (at != NULL) {
        *at = '\0';
        if (at[1] == '[') {
            function->module = at + 2;
            at += 2 + strcspn(at + 2, "]");
            *at = '\0';
        }
    }
    return true;
}

static int compare_functions(const void *a, const void *b) {
    const struct cv_kallsyms_function *left = a, *right = b;

    if (left->address != right->address)
        return left->address < right->address ? -1 : 1;
    // Of names for one place, the one with fewer underscores in front; then any, but always it.
    size_t left_rank = strspn(left->name, "_"), right_rank = strspn(right->name, "_");
    if (left_rank != right_rank)
        return left_rank < right_rank ? -1 : 1;
    return strcmp(left->name, right->name);
}

// The text is megabytes long: functions that may look for its end at each line would take minutes.
static int read_list(struct cv_kallsyms *kallsyms, size_t length) {
    const char *end = kallsyms->text + length;
    size_t line_count = 1, kept = 0;
    char *next;

    for (const char *at = kallsyms->text; at < end; at++)
        line_count += *at == '\n';
    kallsyms->list = calloc(line_count, sizeof(*kallsyms->list));
    if (kallsyms->list == NULL)
        return -ENOMEM;
    kallsyms->is_hidden = true;
    for (char *line = kallsyms->text; line != NULL; line = next) {
        next = memchr(line, '\n', (size_t)(end - line));
        if (next != NULL)
            *next++ = '\0';
        if (read_line(line, &kallsyms->list[kallsyms->count])) {
            kallsyms->is_hidden &= kallsyms->list[kallsyms->count].address == 0;
            kallsyms->count++;
        }
    }
    if (kallsyms->count > 0)
        qsort(kallsyms->list, kallsyms->count, sizeof(*kallsyms->list), compare_functions);
    for (size_t i = 0; i < kallsyms->count; i++) {
        if (kept == 0 || kallsyms->list[kept - 1].address != kallsyms->list[i].address)
            kallsyms->list[kept++] = kallsyms->list[i];
    }
    kallsyms->count = kept;
    return 0;
}

int cv_kallsyms_read(struct cv_kallsyms *kallsyms, FILE *file) {
    size_t capacity = 0;

    // There is no NUL byte in it, so this reads all.
    ssize_t length = getdelim(&kallsyms->text, &capacity, '\0', file);
    if (length <= 0) {
        cv_kallsyms_deinit(kallsyms);
        return -EIO;
    }
    int error = read_list(kallsyms, (size_t)length);
    if (error != 0)
        cv_kallsyms_deinit(kallsyms);
    return error;
}

void cv_kallsyms_deinit(struct cv_kallsyms *kallsyms) {
    free(kallsyms->list);
    free(kallsyms->text);
    *kallsyms = (struct cv_kallsyms){0};
}

const struct cv_kallsyms_function *cv_kallsyms_find(const struct cv_kallsyms *kallsyms,
                                                    uint64_t address) {
    size_t low = 0, high = kallsyms->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kallsyms->list[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && !kallsyms->is_hidden ? &kallsyms->list[low - 1] : NULL;
}
