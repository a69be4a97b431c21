// Memory that grows, and the end of a program that gets none.
#include "top/grow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool is_exhausted;

void *__real_reallocarray(void *memory, size_t count, size_t bytes);
void *__wrap_reallocarray(void *memory, size_t count, size_t bytes);

void *__wrap_reallocarray(void *memory, size_t count, size_t bytes) {
    return is_exhausted ? NULL : __real_reallocarray(memory, count, bytes);
}

static void test_grow_keeps_what_is_there(void **state) {
    size_t capacity = 0;
    uint32_t *numbers = NULL;
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        numbers = top_grow(numbers, &capacity, i + 1, sizeof(*numbers));
        assert_true(capacity > i);
        numbers[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(numbers[i], i);
    }
    assert_in_range(capacity, 1000, 2000);
    assert_ptr_equal(top_grow(numbers, &capacity, 5, sizeof(*numbers)), numbers);
    free(numbers);
}

static void test_grow_without_memory_ends_with_a_line(void **state) {
    int error[2], status;
    char line[64] = "";
    (void)state;
    assert_int_equal(pipe(error), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        size_t capacity = 0;
        dup2(error[1], STDERR_FILENO);
        is_exhausted = true;
        top_grow(NULL, &capacity, 10, 16);
        _exit(99);
    }
    close(error[1]);
    assert_true(read(error[0], line, sizeof(line) - 1) > 0);
    close(error[0]);
    assert_string_equal(line, "covet-top: no memory\n");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow_keeps_what_is_there),
        cmocka_unit_test(test_grow_without_memory_ends_with_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
