// The program covet is the library's covet_main with no application of its own.
#include <covet.h>
#include <stddef.h>

int main(int argc, char **argv) {
    return covet_main(argc, argv, NULL);
}
