// The counter pages: making, sharing and refusing them, and the packing of user_data beside them.
#include "metrics/counter.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool mmap_fails;
static bool fallocate_fails;

void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_posix_fallocate(int fd, off_t offset, off_t bytes);
int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes);

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (mmap_fails) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(address, bytes, protection, flags, fd, offset);
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes) {
    return fallocate_fails ? ENOSPC : __real_posix_fallocate(fd, offset, bytes);
}

static char directory[] = "/tmp/covet-test-XXXXXX";
static char path[sizeof(directory) + 8];

static int make_directory(void **state) {
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/stats", directory);
    return 0;
}

static int remove_directory(void **state) {
    (void)state;
    return rmdir(directory);
}

static int remove_file(void **state) {
    (void)state;
    mmap_fails = false;
    fallocate_fails = false;
    unlink(path);
    return 0;
}

static void test_counter_pages_are_shared_between_writer_and_reader(void **state) {
    struct cv_stats writer;
    struct cv_stats reader;

    (void)state;
    assert_int_equal(cv_stats_create(&writer, path, 3), 0);
    assert_int_equal(cv_stats_open(&reader, path), 0);
    assert_int_equal(reader.header->worker_count, 3);
    assert_int_equal(reader.header->supervisor_pid, getpid());
    assert_true(reader.header->start_ns > 0);
    assert_true(reader.header->start_realtime_s > 1700000000);
    for (uint32_t i = 0; i < 3; i++) {
        struct covet_stats_worker *worker = cv_stats_worker(&writer, i);

        assert_int_equal((uintptr_t)worker % 64, 0);
        cv_counter_add(worker, COVET_COUNTER_REQUESTS, 10 + i);
        cv_counter_add(worker, COVET_COUNTER_REQUESTS, 5);
        cv_counter_set(worker, COVET_COUNTER_CONNECTIONS_OPEN, 7);
        cv_counter_sub(worker, COVET_COUNTER_CONNECTIONS_OPEN, 3);
    }
    for (uint32_t i = 0; i < 3; i++) {
        const struct covet_stats_worker *worker = cv_stats_worker(&reader, i);

        assert_int_equal(cv_counter_read(worker, COVET_COUNTER_REQUESTS), 15 + i);
        assert_int_equal(cv_counter_read(worker, COVET_COUNTER_CONNECTIONS_OPEN), 4);
        assert_int_equal(cv_counter_read(worker, COVET_COUNTER_MESSAGES), 0);
    }
    cv_stats_close(&reader);
    cv_stats_close(&writer);
    assert_null(writer.header);
    cv_stats_close(&writer);
}

static void test_counter_file_is_new_and_readable_by_all(void **state) {
    struct cv_stats stats;
    struct stat file;
    mode_t mask = umask(077);

    (void)state;
    assert_int_equal(cv_stats_create(&stats, path, COVET_WORKERS_MAX), 0);
    umask(mask);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0644);
    assert_int_equal(file.st_size, stats.header->total_bytes);
    assert_true((uint64_t)file.st_blocks * 512 >= stats.header->total_bytes);
    struct cv_stats second;
    assert_int_equal(cv_stats_create(&second, path, 1), -EEXIST);
    assert_int_equal(stat(path, &file), 0);
    cv_stats_close(&stats);
}

static void test_counter_create_leaves_no_file_when_it_fails(void **state) {
    struct cv_stats stats = {0};

    (void)state;
    fallocate_fails = true;
    assert_int_equal(cv_stats_create(&stats, path, 1), -ENOSPC);
    assert_int_equal(access(path, F_OK), -1);
    fallocate_fails = false;
    mmap_fails = true;
    assert_int_equal(cv_stats_create(&stats, path, 1), -ENOMEM);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(cv_stats_create(&stats, NULL, 1), -ENOMEM);
    assert_null(stats.header);
    assert_int_equal(cv_stats_create(&stats, "/nonexistent/stats", 1), -ENOENT);
}

static void test_counter_pages_without_a_file_reach_a_child(void **state) {
    struct cv_stats stats;
    int status = 0;

    (void)state;
    assert_int_equal(cv_stats_create(&stats, NULL, 2), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cv_counter_add(cv_stats_worker(&stats, 1), COVET_COUNTER_SENDS, 42);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(cv_counter_read(cv_stats_worker(&stats, 1), COVET_COUNTER_SENDS), 42);
    cv_stats_close(&stats);
}

// Makes a file of one worker, changes `bytes` bytes at `offset`, and opens it.
static int open_changed(size_t offset, const void *data, size_t bytes) {
    struct cv_stats stats;

    unlink(path);
    assert_int_equal(cv_stats_create(&stats, path, 1), 0);
    cv_stats_close(&stats);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, bytes, (off_t)offset), bytes);
    close(fd);
    int result = cv_stats_open(&stats, path);
    if (result == 0)
        cv_stats_close(&stats);
    return result;
}

static void test_counter_open_refuses_what_it_was_not_built_for(void **state) {
    static const struct {
        size_t offset;
        uint32_t value;
        int result;
    } cases[] = {
        {offsetof(struct covet_stats_header, server_starts), 1, 0},
        {offsetof(struct covet_stats_header, magic), 0, -EBADMSG},
        {offsetof(struct covet_stats_header, abi_version), COVET_ABI_VERSION + 1, -EPROTO},
        {offsetof(struct covet_stats_header, worker_count), 0, -EBADMSG},
        {offsetof(struct covet_stats_header, worker_count), 2, -EBADMSG},
        {offsetof(struct covet_stats_header, worker_count), UINT32_MAX, -EBADMSG},
        {offsetof(struct covet_stats_header, header_bytes), 0, -EBADMSG},
        {offsetof(struct covet_stats_header, worker_bytes), 64, -EBADMSG},
        {offsetof(struct covet_stats_header, total_bytes), 64, -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        int result = open_changed(cases[i].offset, &cases[i].value, sizeof(cases[i].value));

        if (result != cases[i].result)
            fail_msg("case %zu gave %d", i, result);
    }
}

// Whose they are may be somebody else, and not our friend.
static void test_counter_readers_go_by_what_the_pages_said_first(void **state) {
    struct cv_stats writer, reader;

    (void)state;
    assert_int_equal(cv_stats_create(&writer, path, 1), 0);
    assert_int_equal(cv_stats_open(&reader, path), 0);
    assert_int_equal(reader.owner, geteuid());
    writer.header->worker_count = UINT32_MAX;  // As much as that would be unmapped.
    assert_int_equal(reader.worker_count, 1);
    cv_stats_close(&reader);
    cv_stats_close(&writer);
    assert_int_equal(cv_stats_create(&writer, NULL, 1), 0);
    cv_stats_close(&writer);
}

static void test_counter_open_refuses_files_of_another_size_or_kind(void **state) {
    struct cv_stats stats;
    off_t whole = (off_t)(sizeof(struct covet_stats_header) + sizeof(struct covet_stats_worker));

    (void)state;
    assert_int_equal(cv_stats_open(&stats, path), -ENOENT);
    for (off_t bytes = 0; bytes <= whole + 64; bytes += 64) {
        unlink(path);
        assert_int_equal(cv_stats_create(&stats, path, 1), 0);
        cv_stats_close(&stats);
        assert_int_equal(truncate(path, bytes), 0);
        int result = cv_stats_open(&stats, path);
        assert_int_equal(result, bytes == whole ? 0 : -EBADMSG);
        if (result == 0)
            cv_stats_close(&stats);
    }
    assert_int_equal(truncate(path, 1 << 30), 0);
    assert_int_equal(cv_stats_open(&stats, path), -EBADMSG);
    assert_int_equal(cv_stats_open(&stats, directory), -EBADMSG);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(cv_stats_open(&stats, path), -EBADMSG);
}

static void test_counter_open_fails_when_it_cannot_map(void **state) {
    struct cv_stats stats;

    (void)state;
    assert_int_equal(cv_stats_create(&stats, path, 1), 0);
    cv_stats_close(&stats);
    mmap_fails = true;
    assert_int_equal(cv_stats_open(&stats, path), -ENOMEM);
}

static void test_counter_begin_keeps_counters_and_clears_gauges(void **state) {
    struct covet_stats_worker worker = {0};

    (void)state;
    for (uint32_t i = 0; i < COVET_COUNTER_COUNT; i++)
        cv_counter_set(&worker, (enum covet_counter)i, 9);
    cv_counter_begin(&worker, 1234, 3, 777);
    assert_int_equal(worker.thread_id, 1234);
    assert_int_equal(worker.cpu, 3);
    assert_int_equal(worker.start_ns, 777);
    for (uint32_t i = 0; i < COVET_COUNTER_COUNT; i++) {
        bool gauge =
            i == COVET_COUNTER_CONNECTIONS_OPEN || i == COVET_COUNTER_MEMORY_BYTES ||
            i == COVET_COUNTER_BUFFERS_IN_USE || i == COVET_COUNTER_MEMORY_LIVE_BYTES ||
            i == COVET_COUNTER_MEMORY_PEAK_BYTES || i == COVET_COUNTER_MEMORY_SLABS_HUGETLB ||
            i == COVET_COUNTER_MEMORY_SLABS_TRANSPARENT || i == COVET_COUNTER_MEMORY_SLABS_PLAIN ||
            i == COVET_COUNTER_OVERLOAD_CONNECTIONS || i == COVET_COUNTER_OVERLOAD_MEMORY ||
            i == COVET_COUNTER_SHEDDING;

        assert_int_equal(worker.counter[i], gauge ? 0 : 9);
    }
    cv_counter_set(&worker, COVET_COUNTER_CONNECTIONS_OPEN, 5);
    cv_counter_end(&worker);
    assert_int_equal(worker.thread_id, 0);
    assert_int_equal(worker.counter[COVET_COUNTER_CONNECTIONS_OPEN], 0);
    assert_int_equal(worker.counter[COVET_COUNTER_REQUESTS], 9);
}

static void test_counter_magic_reads_covetats(void **state) {
    uint64_t magic = COVET_STATS_MAGIC;

    (void)state;
    assert_memory_equal(&magic, "covetats", sizeof(magic));
}

static void test_counter_abi_user_data_keeps_every_field(void **state) {
    static const uint32_t ops[] = {0, COVET_OP_RECV, 255};
    static const uint32_t workers[] = {0, 17, COVET_WORKERS_MAX - 1};
    static const uint32_t generations[] = {0, 1, 0x8000, 0xffff};
    static const uint32_t slots[] = {0, 1, 0x80000000, UINT32_MAX};

    (void)state;
    assert_true(covet_user_data(0x12, 0x34, 0x5678, 0x9abcdef0) == 0x123456789abcdef0ull);
    for (size_t o = 0; o < CV_ARRAY_COUNT(ops); o++) {
        for (size_t w = 0; w < CV_ARRAY_COUNT(workers); w++) {
            for (size_t g = 0; g < CV_ARRAY_COUNT(generations); g++) {
                for (size_t s = 0; s < CV_ARRAY_COUNT(slots); s++) {
                    uint64_t data = covet_user_data(ops[o], workers[w], generations[g], slots[s]);

                    assert_int_equal(covet_user_data_op(data), ops[o]);
                    assert_int_equal(covet_user_data_worker(data), workers[w]);
                    assert_int_equal(covet_user_data_generation(data), generations[g]);
                    assert_int_equal(covet_user_data_slot(data), slots[s]);
                }
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_counter_pages_are_shared_between_writer_and_reader,
                                  remove_file),
        cmocka_unit_test_teardown(test_counter_file_is_new_and_readable_by_all, remove_file),
        cmocka_unit_test_teardown(test_counter_create_leaves_no_file_when_it_fails, remove_file),
        cmocka_unit_test_teardown(test_counter_pages_without_a_file_reach_a_child, remove_file),
        cmocka_unit_test_teardown(test_counter_open_refuses_what_it_was_not_built_for, remove_file),
        cmocka_unit_test_teardown(test_counter_readers_go_by_what_the_pages_said_first,
                                  remove_file),
        cmocka_unit_test_teardown(test_counter_open_refuses_files_of_another_size_or_kind,
                                  remove_file),
        cmocka_unit_test_teardown(test_counter_open_fails_when_it_cannot_map, remove_file),
        cmocka_unit_test(test_counter_begin_keeps_counters_and_clears_gauges),
        cmocka_unit_test(test_counter_magic_reads_covetats),
        cmocka_unit_test(test_counter_abi_user_data_keeps_every_field),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
