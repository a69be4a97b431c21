// Only names of ours are removed, so a directory that is shared by mistake loses nothing else.
#include "profile/pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPFFS "/sys/fs/bpf"

static const char *const names[] = {
    "worker_stats",    "profile_info", "syscall_stats", "other_syscall_stats",
    "syscall_latency", "uring_stats",  "uring_latency", "sched_stats",
    "runq_latency",    "net_stats",    "drop_reasons",  "listeners",
};

static bool is_bpffs(const char *path) {
    struct statfs about;
    return statfs(path, &about) == 0 && (uint32_t)about.f_type == BPF_FS_MAGIC;
}

static int make_directory(const char *path, bool readable) {
    char parent[PATH_MAX];
    int length = snprintf(parent, sizeof(parent), "%s", path);
    if (length <= 1 || (size_t)length >= sizeof(parent)) {
        return -ENAMETOOLONG;
    }
    char *slash = strrchr(parent, '/');
    if (slash == NULL || slash == parent) {
        return -EMEDIUMTYPE;
    }
    *slash = '\0';
    if (!is_bpffs(parent) &&
        (strcmp(parent, BPFFS) != 0 || mount("bpf", BPFFS, "bpf", 0, "mode=0755") < 0)) {
        return -EMEDIUMTYPE;
    }
    mode_t mode = readable ? 0755 : 0700;
    if (mkdir(path, mode) < 0 && errno != EEXIST) {
        return -errno;
    }
    return is_bpffs(path) ? 0 : -EMEDIUMTYPE;
}

// Who holds a lock on the file of `fd`, as /proc/locks says it: "1: FLOCK ADVISORY WRITE 42 00:1f:7
// 0 EOF".
static pid_t holder_of(int fd) {
    struct stat about;
    char line[160];
    FILE *locks = fstat(fd, &about) == 0 ? fopen("/proc/locks", "re") : NULL;
    pid_t holder = 0;
    while (locks != NULL && holder == 0 && fgets(line, sizeof(line), locks) != NULL) {
        int pid;
        unsigned major_number, minor_number;
        uint64_t inode;
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%" SCNu64, &pid, &major_number, &minor_number,
                   &inode) == 4 &&
            inode == about.st_ino && makedev(major_number, minor_number) == about.st_dev) {
            holder = pid;
        }
    }
    if (locks != NULL) {
        (void)fclose(locks);
    }
    return holder;
}

// Everybody may make directories where bpf file systems are mounted as the kernel does, and who
// owns one can change what is in it, or lock it for good.
static bool is_trusted(int fd) {
    struct stat about;
    return fstat(fd, &about) == 0 && (about.st_uid == 0 || about.st_uid == geteuid());
}

// The lock counts only while the path still leads to what is locked: its last owner may have
// removed the directory in between.
static int lock_directory(const char *path, pid_t *holder_pid) {
    struct stat locked, there;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    if (!is_trusted(fd)) {
        close(fd);
        return -EUSERS;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int status = errno == EWOULDBLOCK ? -EBUSY : -errno;
        *holder_pid = status == -EBUSY ? holder_of(fd) : 0;
        close(fd);
        return status;
    }
    if (fstat(fd, &locked) == 0 && stat(path, &there) == 0 && locked.st_ino == there.st_ino &&
        locked.st_dev == there.st_dev) {
        return fd;
    }
    close(fd);
    return -EAGAIN;
}

static int remove_all(int directory) {
    int count = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(names); i++) {
        if (unlinkat(directory, names[i], 0) == 0) {
            count++;
        } else if (errno != ENOENT) {
            return -errno;
        }
    }
    return count;
}

int cv_pins_open(struct cv_pins *pins, const char *path, bool readable, pid_t *holder_pid) {
    int fd = -EAGAIN;
    while (fd == -EAGAIN) {
        int status = make_directory(path, readable);
        if (status < 0) {
            return status;
        }
        fd = lock_directory(path, holder_pid);
        fd = fd == -ENOENT ? -EAGAIN : fd;
    }
    if (fd < 0) {
        return fd;
    }
    int status = remove_all(fd);
    if (status >= 0 && fchmod(fd, readable ? 0755 : 0700) < 0) {
        status = -errno;
    }
    if (status < 0) {
        close(fd);
        return status;
    }
    *pins = (struct cv_pins){.path = path, .fd = fd};
    return 0;
}

int cv_pins_add(const struct cv_pins *pins, const char *name, int fd, bool readable) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", pins->path, name) >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    if (bpf_obj_pin(fd, path) < 0) {
        return -errno;
    }
    return fchmodat(pins->fd, name, readable ? 0644 : 0600, 0) < 0 ? -errno : 0;
}

void cv_pins_close(struct cv_pins *pins, bool keep) {
    if (!keep) {
        (void)remove_all(pins->fd);
        (void)rmdir(pins->path);
    }
    close(pins->fd);
}

int cv_pins_clean(const char *path, pid_t *holder_pid) {
    if (access(path, F_OK) == 0 && !is_bpffs(path)) {
        return -EMEDIUMTYPE;  // Files there that are called as our maps are somebody else's.
    }
    int fd = lock_directory(path, holder_pid);
    if (fd < 0) {
        return fd == -EAGAIN ? 0 : fd;
    }
    int count = remove_all(fd);
    if (count >= 0) {
        (void)rmdir(path);
    }
    close(fd);
    return count;
}
