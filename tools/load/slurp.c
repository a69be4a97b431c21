// Read until read says so, since what is named may be a pipe and has no size then.
#include "load/slurp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_BYTES 4096u

struct content {
    char *data;
    size_t used, room;
};

// Room for at least one byte more and the NUL.
static int make_room(struct content *content) {
    if (content->used + 1 < content->room) {
        return 0;
    }
    size_t room = content->room == 0 ? FIRST_BYTES : content->room * 2;
    char *data = realloc(content->data, room);
    if (data == NULL) {
        return -ENOMEM;
    }
    content->data = data;
    content->room = room;
    return 0;
}

static int read_all(int fd, size_t bytes_max, struct content *content) {
    for (;;) {
        int result = make_room(content);
        if (result != 0) {
            return result;
        }
        ssize_t got = read(fd, content->data + content->used, content->room - content->used - 1);
        if (got == 0) {
            content->data[content->used] = '\0';
            return 0;
        }
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        content->used += (size_t)got;
        if (content->used > bytes_max) {
            return -EFBIG;
        }
    }
}

int load_slurp(const char *name, size_t bytes_max, char **data, size_t *bytes) {
    struct content content = {0};
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int result = read_all(fd, bytes_max, &content);
    close(fd);
    if (result != 0) {
        free(content.data);
        return result;
    }
    *data = content.data;
    *bytes = content.used;
    return 0;
}
