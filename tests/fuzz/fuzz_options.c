// The configuration file and the command line. The input is a line of words, then the file. What is
// refused is refused with one line; what is taken is taken again the same way.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/options.h"

#define WORDS_MAX 16
#define LINE_BYTES_MAX 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct command {
    char line[LINE_BYTES_MAX];
    char path[32];
    char *argv[WORDS_MAX + 4];
    int argc;
};

static int keep_file(struct command *command, const uint8_t *data, size_t size) {
    int file = memfd_create("covet.conf", MFD_CLOEXEC);
    CV_ASSERT(file >= 0 && write(file, data, size) == (ssize_t)size);
    (void)snprintf(command->path, sizeof(command->path), "/proc/self/fd/%d", file);
    return file;
}

static void split(struct command *command) {
    static char name[] = "covet", config[] = "--config";
    command->argv[0] = name;
    command->argv[1] = config;
    command->argv[2] = command->path;
    command->argc = 3;
    char *rest = command->line;
    for (char *word; command->argc < WORDS_MAX && (word = strsep(&rest, " ")) != NULL;) {
        command->argv[command->argc++] = word;
    }
    command->argv[command->argc] = NULL;
}

static void check_message(const char *text, size_t bytes) {
    CV_ASSERT(memchr(text, '\0', bytes) != NULL && strchr(text, '\n') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct cv_settings first, second;
    static struct cv_options_result result, again;
    static struct command command;
    const uint8_t *end = memchr(data, '\n', size);
    size_t length = end == NULL ? size : (size_t)(end - data);
    if (length >= LINE_BYTES_MAX) {
        return 0;
    }
    memcpy(command.line, data, length);
    command.line[length] = '\0';
    int file = keep_file(&command, data + length, size - length);
    split(&command);
    memset(&first, 0, sizeof(first));
    memset(&second, 0, sizeof(second));
    int code = cv_options_read(command.argc, command.argv, &first, &result);
    CV_ASSERT(code == result.exit_code && (code == 0 || code == 64 || code == 78));
    CV_ASSERT((code == 0) == (result.message[0] == '\0'));
    check_message(result.message, sizeof(result.message));
    check_message(result.warning, sizeof(result.warning));
    CV_ASSERT(cv_options_read(command.argc, command.argv, &second, &again) == code);
    CV_ASSERT(strcmp(result.message, again.message) == 0);
    CV_ASSERT(first.worker_count == second.worker_count);
    if (code == 0 && result.action == CV_OPTIONS_SERVE) {
        CV_ASSERT(first.worker_count >= 1 && first.worker_count <= COVET_WORKERS_MAX);
        CV_ASSERT(first.cpu_count >= 1 && first.listen_count >= 1);
        CV_ASSERT(first.limits.head_bytes_max >= 1);
    }
    (void)close(file);
    return 0;
}
