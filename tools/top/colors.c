// The terminal's own description decides (term(5), "Legacy storage format" and "Extended number
// format"): a header of six little-endian shorts (magic, bytes of names, booleans, numbers, ...),
// the names, one byte a boolean, an even address, then the numbers, of which max_colors is the
// 14th. A library for one number would be the only one that this program links.
#include "top/colors.h"

#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#define HEADER_BYTES 12u
#define MAGIC_LEGACY 0432
#define MAGIC_EXTENDED 01036  // Numbers of 32 bits.
#define MAX_COLORS_INDEX 13u
#define ENTRY_BYTES_MAX 32768u  // term(5), "Limits"
#define COLORS_MIN 8

static uint32_t little_endian(const unsigned char *bytes, size_t count) {
    uint32_t value = 0;
    while (count-- > 0) {
        value = value << 8 | bytes[count];
    }
    return value;
}

int top_colors_in_entry(const unsigned char *entry, size_t bytes) {
    if (bytes < HEADER_BYTES) {
        return 0;
    }
    uint32_t magic = little_endian(entry, 2);
    size_t number_bytes = magic == MAGIC_EXTENDED ? 4 : 2;
    size_t names_bytes = little_endian(entry + 2, 2);
    size_t boolean_bytes = little_endian(entry + 4, 2);
    size_t number_count = little_endian(entry + 6, 2);
    size_t at = HEADER_BYTES + names_bytes + boolean_bytes;
    at += at % 2 + MAX_COLORS_INDEX * number_bytes;
    if ((magic != MAGIC_LEGACY && magic != MAGIC_EXTENDED) || number_count <= MAX_COLORS_INDEX ||
        at + number_bytes > bytes) {
        return 0;
    }
    // -1 and -2, absent and cancelled.
    return number_bytes == 4 ? (int32_t)little_endian(entry + at, 4)
                             : (int16_t)little_endian(entry + at, 2);
}

// The colours of `term`, -1 when it is described nowhere.
static int described_colors(const char *term) {
    static unsigned char entry[ENTRY_BYTES_MAX];
    char home[256], path[512];
    const char *home_directory = getenv("HOME");
    snprintf(home, sizeof(home), "%s/.terminfo", home_directory != NULL ? home_directory : "");
    const char *directories[] = {getenv("TERMINFO"), home, "/etc/terminfo", "/lib/terminfo",
                                 "/usr/share/terminfo"};
    for (size_t i = 0; i < CV_ARRAY_COUNT(directories); i++) {
        if (directories[i] == NULL) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%c/%s", directories[i], term[0], term);
        FILE *file = fopen(path, "re");
        if (file != NULL) {
            size_t bytes = fread(entry, 1, sizeof(entry), file);
            fclose(file);
            return top_colors_in_entry(entry, bytes);
        }
    }
    return -1;
}

bool top_colors_wanted(const char *term, const char *colorterm, const char *no_color) {
    if ((no_color != NULL && no_color[0] != '\0') || term == NULL || term[0] == '\0' ||
        strchr(term, '/') != NULL) {
        return false;
    }
    int colors = described_colors(term);
    return colors >= 0 ? colors >= COLORS_MIN : colorterm != NULL && colorterm[0] != '\0';
}

bool top_colors_has_utf8(void) {
    return setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
