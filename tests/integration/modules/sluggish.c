/* Takes its time to start while the file that SLUGGISH names is there. */
#include <covet.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    const char *flag = getenv("SLUGGISH");

    (void)app;
    while (flag != NULL && access(flag, F_OK) == 0)
        nanosleep(&pause, NULL);
    return 0;
}
