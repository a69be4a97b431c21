// This test's own program, the vDSO, and what is no program at all.
#include "profile/image.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cmocka.h>

#include "profile/mappings.h"

static struct cv_image *open_own(void) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    struct cv_image *image = cv_image_open(fd);
    assert_non_null(image);
    return image;
}

// The address a function of this program has in its file.
static uint64_t own_address(const struct cv_image *image, const void *pointer) {
    struct cv_mappings mappings = {0};
    uint64_t here = (uint64_t)(uintptr_t)pointer, address = 0;

    assert_int_equal(cv_mappings_read(&mappings, getpid()), 0);
    const struct cv_mapping *mapping = cv_mappings_find(&mappings, here);
    assert_non_null(mapping);
    assert_true(cv_image_address(image, here - mapping->start + mapping->offset, &address));
    cv_mappings_deinit(&mappings);
    return address;
}

static void test_image_names_a_function_anywhere_in_it(void **state) {
    struct cv_image *image = open_own();
    uint64_t start = own_address(image, (const void *)(uintptr_t)&open_own);
    const struct cv_cfi_function *function = cv_cfi_find(cv_image_cfi(image), start);

    (void)state;
    assert_true(cv_image_has_all_symbols(image));
    assert_string_equal(cv_image_function(image, start), "open_own");
    // The unwinding tables agree about where it begins and ends.
    assert_non_null(function);
    assert_int_equal(function->start, start);
    assert_string_equal(cv_image_function(image, function->end - 1), "open_own");
    cv_image_close(image);
}

static void test_image_knows_what_is_not_loaded_or_no_function(void **state) {
    struct cv_image *image = open_own();
    uint64_t address = 7;

    (void)state;
    assert_false(cv_image_address(image, UINT64_MAX, &address));
    assert_int_equal(address, 7);
    assert_null(cv_image_function(image, 0));
    assert_null(cv_image_function(image, UINT64_MAX));
    cv_image_close(image);
}

static void test_image_has_a_build_id_when_the_linker_wrote_one(void **state) {
    struct cv_image *image = open_own();
    uint8_t id[CV_IMAGE_BUILD_ID_BYTES_MAX];
    size_t bytes = cv_image_build_id(image, id);

    (void)state;
    assert_true(bytes == 0 || (bytes >= 8 && bytes <= sizeof(id)));
    cv_image_close(image);
}

static void test_image_takes_symbols_from_another_file(void **state) {
    struct cv_image *image = open_own();
    struct cv_image *debug = open_own();
    uint64_t start = own_address(image, (const void *)(uintptr_t)&open_own);

    (void)state;
    assert_int_equal(cv_image_add_symbols(image, debug), 0);
    assert_string_equal(cv_image_function(image, start), "open_own");
    cv_image_close(image);
    cv_image_close(debug);
}

static void test_image_reads_the_vdso_from_memory(void **state) {
    struct cv_mappings mappings = {0};

    (void)state;
    assert_int_equal(cv_mappings_read(&mappings, getpid()), 0);
    const struct cv_mapping *vdso = cv_mappings_find(&mappings, getauxval(AT_SYSINFO_EHDR));
    if (vdso == NULL) {
        skip();
        return;  // Which skip() does, though the analyser does not know.
    }
    struct cv_image *image =
        cv_image_open_memory((const void *)(uintptr_t)vdso->start, vdso->end - vdso->start);
    assert_non_null(image);
    assert_true(cv_image_cfi(image)->function_count > 0);
    cv_image_close(image);
    cv_mappings_deinit(&mappings);
}

static void test_image_refuses_what_is_no_program(void **state) {
    static const char *const paths[] = {"/dev/null", "/proc/self/maps", "/etc/passwd"};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(paths); i++)
        assert_null(cv_image_open(open(paths[i], O_RDONLY | O_CLOEXEC)));
    assert_null(cv_image_open_memory("\177ELF", 4));
    assert_null(cv_image_open_memory("", 0));
}

// Every byte of the head of a real file is broken once; nothing may be read outside of it.
static void test_image_survives_broken_heads(void **state) {
    enum { HEAD = 1024 };
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    off_t length = lseek(fd, 0, SEEK_END);
    unsigned char *bytes = malloc((size_t)length);

    (void)state;
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, (size_t)length, 0), length);
    close(fd);
    for (size_t i = 0; i < HEAD; i++) {
        bytes[i] ^= 0xff;
        struct cv_image *image = cv_image_open_memory(bytes, (size_t)CV_MIN(length, 65536));
        cv_image_close(image);
        bytes[i] ^= 0xff;
    }
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_names_a_function_anywhere_in_it),
        cmocka_unit_test(test_image_knows_what_is_not_loaded_or_no_function),
        cmocka_unit_test(test_image_has_a_build_id_when_the_linker_wrote_one),
        cmocka_unit_test(test_image_takes_symbols_from_another_file),
        cmocka_unit_test(test_image_reads_the_vdso_from_memory),
        cmocka_unit_test(test_image_refuses_what_is_no_program),
        cmocka_unit_test(test_image_survives_broken_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
