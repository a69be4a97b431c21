// Removes the pins of a profiler that was killed. They are a last snapshot until then, and the next
// profiler replaces them by itself.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profile/arguments.h"
#include "profile/commands.h"

int cv_clean_main(int argc, char **argv) {
    struct cv_arguments arguments;
    int holder_pid = 0;
    int exit_code = cv_arguments_read(argc, argv, CV_ARGUMENT_PIN_DIR, &arguments);
    if (exit_code >= 0) {
        return exit_code;
    }
    const char *directory = arguments.attach.pin_dir;
    int removed = cv_attach_clean(directory, &holder_pid);
    if (removed == -EBUSY) {
        fprintf(stderr, "covet-prof: %s belongs to the profiler with pid %d, which is at work\n",
                directory, holder_pid);
        return CV_EXIT_FAILED;
    }
    if (removed == -ENOENT) {
        printf("nothing is left: there is no %s\n", directory);
        return 0;
    }
    if (removed == -EUSERS) {
        fprintf(stderr, "covet-prof: %s is another user's\n", directory);
        return CV_EXIT_FAILED;
    }
    if (removed == -EMEDIUMTYPE) {
        fprintf(stderr, "covet-prof: %s is not in a bpf file system\n", directory);
        return CV_EXIT_FAILED;
    }
    if (removed < 0) {
        fprintf(stderr, "covet-prof: %s: %s\n", directory, strerror(-removed));
        return removed == -EPERM || removed == -EACCES ? CV_EXIT_IMPOSSIBLE : CV_EXIT_FAILED;
    }
    printf("%d removed from %s\n", removed, directory);
    return 0;
}
