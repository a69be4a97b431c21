// One pass over the file; the first bad line ends it, because a configuration is taken whole or not
// at all.
#include "cli/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static char *trim(char *text) {
    while (is_blank(*text)) {
        text++;
    }
    size_t length = strlen(text);
    while (length > 0 && is_blank(text[length - 1])) {
        length--;
    }
    text[length] = '\0';
    return text;
}

static void cut_comment(char *line) {
    for (char *at = line; *at != '\0'; at++) {
        if (*at == '#' && (at == line || is_blank(at[-1]))) {
            *at = '\0';
            return;
        }
    }
}

static int read_line(char *line, cv_config_fn set, void *context, char *reason,
                     size_t reason_bytes) {
    cut_comment(line);
    char *key = trim(line);
    if (*key == '\0') {
        return 0;
    }
    char *equals = strchr(key, '=');
    if (equals == NULL) {
        snprintf(reason, reason_bytes, "a line is written key = value");
        return -EINVAL;
    }
    *equals = '\0';
    key = trim(key);
    if (*key == '\0') {
        snprintf(reason, reason_bytes, "the key is missing");
        return -EINVAL;
    }
    return set(context, key, trim(equals + 1), reason, reason_bytes);
}

// Puts the next line into `line`. Returns 1, 0 at the end of the file, or -EINVAL with a reason.
static int next_line(FILE *file, char line[CV_CONFIG_LINE_BYTES_MAX], char *reason,
                     size_t reason_bytes) {
    size_t length = 0;
    int byte;
    while ((byte = getc(file)) != EOF && byte != '\n') {
        if (byte == '\0') {
            snprintf(reason, reason_bytes, "the line holds a NUL byte");
            return -EINVAL;
        }
        if (length == CV_CONFIG_LINE_BYTES_MAX - 1) {
            snprintf(reason, reason_bytes, "a line has at most %u bytes",
                     CV_CONFIG_LINE_BYTES_MAX - 1);
            return -EINVAL;
        }
        line[length++] = (char)byte;
    }
    line[length] = '\0';
    return byte != EOF || length > 0;
}

int cv_config_read(const char *path, cv_config_fn set, void *context, char *message,
                   size_t message_bytes) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int error = errno;
        snprintf(message, message_bytes, "%s: %s", path, strerror(error));
        return -error;
    }
    char line[CV_CONFIG_LINE_BYTES_MAX];
    char reason[256] = "";
    uint32_t line_number = 0;
    int result;
    do {
        line_number++;
        result = next_line(file, line, reason, sizeof(reason));
        if (result == 1 && line_number > CV_CONFIG_LINES_MAX) {
            snprintf(reason, sizeof(reason), "a file has at most %u lines", CV_CONFIG_LINES_MAX);
            result = -EINVAL;
        }
        if (result == 1) {
            int error = read_line(line, set, context, reason, sizeof(reason));
            result = error != 0 ? error : 1;
        }
    } while (result == 1);
    if (result < 0) {
        snprintf(message, message_bytes, "%s:%u: %s", path, line_number, reason);
    } else if (ferror(file)) {
        // A directory opens and fails here.
        snprintf(message, message_bytes, "%s: %s", path, strerror(errno));
        result = -EIO;
    }
    fclose(file);
    return result;
}
