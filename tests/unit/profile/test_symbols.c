// Names for addresses of this very process.
#include "profile/symbols.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct cv_symbols *symbols;

static uint64_t address_of(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

static const struct cv_place *look_up(uint64_t address) {
    const struct cv_place *place = cv_symbols_user(symbols, address);

    assert_non_null(place);
    assert_non_null(place->frame.name);
    assert_int_equal(place->address, address);
    return place;
}

static void test_symbols_name_the_program_and_its_libraries(void **state) {
    const void *own = (const void *)(uintptr_t)&look_up;

    (void)state;
    for (int round = 0; round < 2; round++) {  // The second time from memory.
        const struct cv_place *place = look_up(address_of(own) + 1);
        assert_string_equal(place->frame.name, "look_up");
        assert_int_equal(place->frame.origin, CV_ORIGIN_SERVER);
        assert_non_null(place->cfi);
    }
    const struct cv_place *place = look_up(address_of(dlsym(RTLD_DEFAULT, "getppid")));
    assert_string_equal(place->frame.name, "getppid");
    assert_int_equal(place->frame.origin, CV_ORIGIN_LIBC);
    assert_non_null(place->cfi);
    place = look_up(address_of(dlsym(RTLD_DEFAULT, "_cmocka_run_group_tests")));
    assert_string_equal(place->frame.name, "_cmocka_run_group_tests");
    assert_int_equal(place->frame.origin, CV_ORIGIN_OTHER);
}

static void test_symbols_give_one_pointer_per_name(void **state) {
    const void *own = (const void *)(uintptr_t)&look_up;

    (void)state;
    const char *name = look_up(address_of(own))->frame.name;
    assert_ptr_equal(name, look_up(address_of(own) + 1)->frame.name);
    assert_ptr_equal(name, cv_symbols_name(symbols, "look_up"));
}

static void test_symbols_name_modules_that_are_loaded_later(void **state) {
    char path[64];
    Dl_info info;
    void *library = dlsym(RTLD_DEFAULT, "_cmocka_run_group_tests");

    (void)state;
    // A library copied to memory and loaded from there, as the server loads modules.
    assert_true(dladdr(library, &info) != 0);
    int from = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
    int to = memfd_create("handlers.so", MFD_CLOEXEC);
    assert_true(from >= 0 && to >= 0);
    assert_true(sendfile(to, from, NULL, 1u << 30) > 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(module);
    void *function = dlsym(module, "_cmocka_run_group_tests");
    assert_true(function != library);

    const struct timespec pause = {.tv_nsec = 120000000};
    nanosleep(&pause, NULL);  // Mappings are not read again more often.
    const struct cv_place *place = look_up(address_of(function));
    assert_int_equal(place->frame.origin, CV_ORIGIN_MODULE);
    if (geteuid() == 0)  // Others may not open what has no path.
        assert_string_equal(place->frame.name, "_cmocka_run_group_tests");
    dlclose(module);
    close(from);
    close(to);
}

static void test_symbols_know_what_is_nobodys(void **state) {
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_true(code != MAP_FAILED);
    const struct timespec pause = {.tv_nsec = 120000000};
    nanosleep(&pause, NULL);
    const struct cv_place *place = look_up(address_of(code) + 16);
    assert_string_equal(place->frame.name, "[anonymous]");
    assert_int_equal(place->frame.origin, CV_ORIGIN_OTHER);
    assert_null(place->cfi);
    place = look_up(1);
    assert_string_equal(place->frame.name, "[unknown]");
    assert_int_equal(place->frame.origin, CV_ORIGIN_UNKNOWN);
    munmap(code, 4096);
}

static void test_symbols_name_the_kernel_or_say_it_hides(void **state) {
    uint64_t address = UINT64_MAX - 1000;
    char line[256], name[128] = "";
    FILE *file = fopen("/proc/kallsyms", "re");

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%lx %*c %127s", &address, name) == 2 &&
            strcmp(name, "do_syscall_64") == 0)
            break;
    }
    fclose(file);
    const struct cv_place *place = cv_symbols_kernel(symbols, address + 1);
    assert_non_null(place);
    assert_int_equal(place->frame.origin, CV_ORIGIN_KERNEL);
    assert_string_equal(place->frame.name,
                        cv_symbols_kernel_is_hidden(symbols) ? "[kernel]" : "do_syscall_64");
}

static void test_symbols_refuse_a_process_that_is_gone(void **state) {
    struct cv_symbols *none = NULL;

    (void)state;
    assert_int_equal(cv_symbols_create(&none, INT32_MAX), -ESRCH);
    assert_null(none);
}

static int set_up(void **state) {
    (void)state;
    return cv_symbols_create(&symbols, getpid());
}

static int tear_down(void **state) {
    (void)state;
    cv_symbols_destroy(symbols);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols_name_the_program_and_its_libraries),
        cmocka_unit_test(test_symbols_give_one_pointer_per_name),
        cmocka_unit_test(test_symbols_name_modules_that_are_loaded_later),
        cmocka_unit_test(test_symbols_know_what_is_nobodys),
        cmocka_unit_test(test_symbols_name_the_kernel_or_say_it_hides),
        cmocka_unit_test(test_symbols_refuse_a_process_that_is_gone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
