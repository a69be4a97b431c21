// The modules are compiled here, since each is wrong in another way. They call nothing of covet, so
// that they can be loaded into a test program.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "app/module.h"
#include "base/compiler.h"

#define ERROR_BYTES 512u

static char folder[] = "/tmp/covet-test-module-XXXXXX";

static const char *compiler(void) {
    const char *name = getenv("CC");

    return name == NULL || name[0] == '\0' ? "cc" : name;
}

// Compiles `source` and returns its bytes in a memory file; -1 when there is no compiler.
static int build(const char *source) {
    char path[128], command[512], bytes[4096];
    int fd, copy;
    ssize_t got;
    FILE *file;

    snprintf(path, sizeof(path), "%s/module.c", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(source, file);
    fclose(file);
    snprintf(command, sizeof(command), "%s -shared -fPIC -o %s/module.so %s 2>/dev/null",
             compiler(), folder, path);
    if (system(command) != 0)
        return -1;
    snprintf(path, sizeof(path), "%s/module.so", folder);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    copy = memfd_create("module", MFD_CLOEXEC);
    assert_true(fd >= 0 && copy >= 0);
    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(copy, bytes, (size_t)got), got);
    close(fd);
    return copy;
}

#define API(version) "const int covet_module_api = " version ";\n"
#define COUNTING \
    "int covet_module_init(void *app) { static int calls; (void)app; return ++calls; }\n"

static void test_module_refuses_what_is_none_of_ours(void **state) {
    static const struct {
        const char *name, *source;
        int result;
        const char *words[2];
    } cases[] = {
        {"empty.so", "int nothing;", -ENOEXEC, {"module empty.so", "covet_module_api"}},
        {"old.so", API("977") COUNTING, -EPROTO, {"version 977", "this covet has 2"}},
        {"init.so", API("2"), -ENOEXEC, {"module init.so", "covet_module_init"}},
        {"unbound.so",
         API("2") "int covet_nowhere(void); int covet_module_init(void *a) "
                  "{ (void)a; return covet_nowhere(); }",
         -ENOEXEC,
         {"module unbound.so", "covet_nowhere"}},
    };

    (void)state;
    assert_int_equal(COVET_API_VERSION, 2);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_module module = {0};
        char error[ERROR_BYTES] = "";
        int fd = build(cases[i].source);

        assert_true(fd >= 0);
        assert_int_equal(cv_module_load(&module, fd, cases[i].name, error, sizeof(error)),
                         cases[i].result);
        for (int word = 0; word < 2; word++)
            if (strstr(error, cases[i].words[word]) == NULL)
                fail_msg("%s: \"%s\"", cases[i].name, error);
        assert_null(module.handle);
        cv_module_unload(&module);
        close(fd);
    }
}

static void test_module_refuses_a_file_that_is_no_object(void **state) {
    struct cv_module module = {0};
    char error[ERROR_BYTES] = "";
    int fd = memfd_create("text", MFD_CLOEXEC);

    (void)state;
    assert_int_equal(write(fd, "not an object", 13), 13);
    assert_int_equal(cv_module_load(&module, fd, "text.so", error, sizeof(error)), -ENOEXEC);
    assert_non_null(strstr(error, "module text.so: "));
    close(fd);
    assert_int_equal(cv_module_load(&module, fd, "closed.so", error, sizeof(error)), -ENOEXEC);
    assert_non_null(strstr(error, "module closed.so: "));
}

// The loader would touch what is not there and die of SIGBUS.
static void test_module_refuses_a_file_that_is_cut_short(void **state) {
    static const double shares[] = {0.999, 0.9, 0.5, 0.25, 0.02, 0.005, 0.0005};
    struct cv_module module = {0};
    char error[ERROR_BYTES];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(shares); i++) {
        int fd = build(API("2") COUNTING);
        off_t bytes = lseek(fd, 0, SEEK_END);

        error[0] = '\0';
        assert_int_equal(ftruncate(fd, (off_t)((double)bytes * shares[i])), 0);
        assert_int_equal(cv_module_load(&module, fd, "cut.so", error, sizeof(error)), -ENOEXEC);
        assert_null(module.handle);
        if (strstr(error, "module cut.so: the file is cut short") == NULL)
            fail_msg("%zu: \"%s\"", i, error);
        close(fd);
    }
}

static void test_module_in_a_fresh_copy_starts_afresh(void **state) {
    struct cv_module first = {0}, second = {0};
    char error[ERROR_BYTES] = "";
    int first_fd = build(API("2") COUNTING), second_fd = build(API("2") COUNTING);

    (void)state;
    assert_true(first_fd >= 0 && second_fd >= 0);
    assert_int_equal(cv_module_load(&first, first_fd, "a.so", error, sizeof(error)), 0);
    assert_int_equal(first.init(NULL), 1);
    assert_int_equal(first.init(NULL), 2);
    assert_int_equal(cv_module_load(&second, second_fd, "a.so", error, sizeof(error)), 0);
    assert_int_equal(second.init(NULL), 1);
    cv_module_unload(&first);
    assert_null(first.handle);
    assert_int_equal(second.init(NULL), 2);
    cv_module_unload(&second);
    cv_module_unload(&second);
    close(first_fd);
    close(second_fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_module_refuses_what_is_none_of_ours),
        cmocka_unit_test(test_module_refuses_a_file_that_is_no_object),
        cmocka_unit_test(test_module_refuses_a_file_that_is_cut_short),
        cmocka_unit_test(test_module_in_a_fresh_copy_starts_afresh),
    };
    int result = 77, fd;

    if (mkdtemp(folder) == NULL)
        return 1;
    fd = build("int nothing;");
    if (fd < 0) {
        printf("skipped: no compiler \"%s\"\n", compiler());
    } else {
        close(fd);
        result = cmocka_run_group_tests(tests, NULL, NULL);
    }
    char path[128];
    snprintf(path, sizeof(path), "%s/module.c", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/module.so", folder);
    unlink(path);
    rmdir(folder);
    return result;
}
