#include "profile/iterator.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <unistd.h>

// Reading it is what runs an iterator.
static int read_all(int fd) {
    char nothing[64];
    ssize_t got;

    do {
        got = read(fd, nothing, sizeof(nothing));
    } while (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)));
    return got < 0 ? -errno : 0;
}

int cv_iterator_run(struct bpf_program *program, pid_t pid) {
    union bpf_iter_link_info which = {.task = {.pid = (uint32_t)pid}};
    DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &which,
                        .link_info_len = sizeof(which));
    if (!bpf_program__autoload(program))
        return -EOPNOTSUPP;
    struct bpf_link *link = bpf_program__attach_iter(program, &options);
    if (link == NULL)
        link = bpf_program__attach_iter(program, NULL);
    if (link == NULL)
        return -errno;
    int fd = bpf_iter_create(bpf_link__fd(link));
    int error = fd < 0 ? -errno : read_all(fd);
    if (fd >= 0)
        close(fd);
    bpf_link__destroy(link);
    return error;
}
