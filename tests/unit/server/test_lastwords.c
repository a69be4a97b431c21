// Last words, spoken by children that crash in different ways.
#include "server/lastwords.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"

static int *volatile nowhere = (int *)8;

static CV_NOINLINE void fault(void) {
    *nowhere = 1;
}

static void (*volatile no_code)(void);

static CV_NOINLINE void jump(void) {
    no_code();
    nowhere = NULL;  // So that it is a call.
}

static void jump_astray(void) {
    no_code = (void (*)(void))0x1000;
    jump();
}

static volatile int depth_max = 1 << 30;

static CV_NOINLINE int overflow(int depth) {
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth < depth_max ? overflow(depth + 1) + frame[0] : 0;
}

static void overflow_once(void) {
    (void)overflow(0);
}

static void *crash_there(void *context) {
    (void)context;
    prctl(PR_SET_NAME, "covet-w7", 0, 0, 0);
    cv_lastwords_thread();
    fault();
    return NULL;
}

static void crash_in_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, crash_there, NULL);
    pthread_join(thread, NULL);
}

// Runs `crash` in a child; gives its standard error and the signal it died of, 0 when a checking
// tool turned that into an exit.
static int run(void (*crash)(void), char *words, size_t words_bytes) {
    int pipes[2];
    int status;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipes[1], STDERR_FILENO);
        // The test program's own handlers are not to be asked.
        static const int numbers[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
        for (size_t i = 0; i < CV_ARRAY_COUNT(numbers); i++) {
            signal(numbers[i], SIG_DFL);
        }
        cv_lastwords_install();
        crash();
        _exit(1);
    }
    close(pipes[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(pipes[0], words + length, words_bytes - 1 - length)) > 0) {
        length += (size_t)got;
    }
    words[length] = '\0';
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_lastwords_name_signal_address_thread_and_frames(void **state) {
    (void)state;
    static const struct {
        void (*crash)(void);
        int number;
        const char *expected[3];
    } cases[] = {
        {fault, SIGSEGV, {"event=crash signal=SIGSEGV address=0x8 thread=", "+0x", NULL}},
        {abort, SIGABRT, {"event=crash signal=SIGABRT sender_pid=", "+0x", NULL}},
        {crash_in_thread, SIGSEGV, {"thread=covet-w7 backtrace=", "+0x", NULL}},
        {jump, SIGSEGV, {"address=0x0 thread=", "+0x", NULL}},
        {jump_astray, SIGSEGV, {"address=0x1000 thread=", "+0x", NULL}},
        {overflow_once, SIGSEGV, {"event=crash signal=SIGSEGV address=0x", "+0x", NULL}},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        static char words[16384];
        int number = run(cases[i].crash, words, sizeof(words));
        if (number != cases[i].number) {
            fail_msg("case %zu: signal %d: %s", i, number, words);
        }
        for (size_t j = 0; cases[i].expected[j] != NULL; j++) {
            if (strstr(words, cases[i].expected[j]) == NULL) {
                fail_msg("case %zu: no %s in %s", i, cases[i].expected[j], words);
            }
        }
        assert_memory_equal(words, "time=20", 7);
        const char *end = strchr(words, '\n');
        assert_non_null(end);
        assert_string_equal(end, "\n");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lastwords_name_signal_address_thread_and_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
