// The run directory. Only names that covet itself puts there are ever removed, so a directory that
// holds anything else stays. A process that we do not see may be one of another PID namespace with
// the same /run: a lock on its directory says that it lives.
#include "server/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/span.h"

static const char *const contents[] = {"stats", "admin"};

static void remove_directory(const char *path) {
    char file[CV_RUNDIR_PATH_BYTES + 16];
    for (size_t i = 0; i < CV_ARRAY_COUNT(contents); i++) {
        snprintf(file, sizeof(file), "%s/%s", path, contents[i]);
        unlink(file);
    }
    rmdir(path);
}

// Locks a directory as long as the descriptor, and what a fork inherits of it, is open. Returns it
// or -errno.
static int lock_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static bool is_locked(const char *path) {
    int fd = lock_directory(path);
    if (fd >= 0) {
        close(fd);
    }
    return fd == -EWOULDBLOCK;
}

static void remove_stale(const char *base) {
    DIR *directory = opendir(base);
    if (directory == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        uint64_t pid;
        if (!cv_span_to_uint64(cv_span_of(entry->d_name), INT32_MAX, &pid) || pid == 0) {
            continue;
        }
        char path[CV_RUNDIR_PATH_BYTES];
        int length = snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
        // A directory with our own number is that of a process that had it before us.
        bool is_gone = (pid_t)pid == getpid() || (kill((pid_t)pid, 0) < 0 && errno == ESRCH);
        if (is_gone && length > 0 && (size_t)length < sizeof(path) && !is_locked(path)) {
            remove_directory(path);
        }
    }
    closedir(directory);
}

// Readable for everybody whatever the umask: monitors of other users map the counter pages.
static int make_directory(const char *path) {
    if (mkdir(path, 0755) < 0) {
        return -errno;
    }
    if (chmod(path, 0755) < 0) {
        int error = -errno;
        rmdir(path);
        return error;
    }
    return 0;
}

// Makes the base if need be; in a place where others can write it must be ours alone to change.
static int make_base(const char *base) {
    struct stat status;
    int error = make_directory(base);
    if (error != 0 && error != -EEXIST) {
        return error;
    }
    if (lstat(base, &status) < 0) {
        return -errno;
    }
    if (!S_ISDIR(status.st_mode)) {
        return -ENOTDIR;
    }
    return status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 ? 0 : -EPERM;
}

static int try_base(struct cv_rundir *rundir, const char *base) {
    char path[CV_RUNDIR_PATH_BYTES];
    int length = snprintf(path, sizeof(path), "%s/%d", base, (int)getpid());
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    int error = make_base(base);
    if (error != 0) {
        return error;
    }
    remove_stale(base);
    error = make_directory(path);
    if (error != 0) {
        return error;
    }
    rundir->lock_fd = lock_directory(path);
    if (rundir->lock_fd < 0) {
        remove_directory(path);
        return rundir->lock_fd;
    }
    memcpy(rundir->path, path, sizeof(path));
    return 0;
}

int cv_rundir_create(struct cv_rundir *rundir) {
    char base[CV_RUNDIR_PATH_BYTES];
    const char *service = getenv("RUNTIME_DIRECTORY");
    const char *session = getenv("XDG_RUNTIME_DIR");
    int error = -ENOENT;
    rundir->path[0] = '\0';
    // With several directories the variable holds a list.
    if (service != NULL && service[0] == '/' && strchr(service, ':') == NULL) {
        error = try_base(rundir, service);
    }
    if (error != 0 && geteuid() == 0) {
        error = try_base(rundir, "/run/covet");
    }
    if (error != 0 && geteuid() != 0 && session != NULL && session[0] == '/') {
        snprintf(base, sizeof(base), "%s/covet", session);
        error = try_base(rundir, base);
    }
    if (error != 0) {
        snprintf(base, sizeof(base), "/tmp/covet-%u", (unsigned)geteuid());
        error = try_base(rundir, base);
    }
    return error;
}

void cv_rundir_destroy(struct cv_rundir *rundir) {
    if (rundir->path[0] != '\0') {
        remove_directory(rundir->path);
        close(rundir->lock_fd);
        rundir->path[0] = '\0';
    }
}
