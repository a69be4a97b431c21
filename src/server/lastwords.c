// The crash handler. It runs in a process of which nothing can be trusted, so it takes no lock and
// no memory and calls only what signal-safety(7) allows, with one exception: backtrace(3), safe
// once it has run (its first call loads the unwinder). Numbers are formatted here, objects are
// looked up in a table made beforehand. A second crashing thread waits for the first one to end the
// process. The unwinder reads what registers point at; where that is nothing, it is left by a jump.
#include "server/lastwords.h"

#include <execinfo.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/nowait.h"

#define OBJECTS_MAX 128u
#define OBJECT_NAME_BYTES 48u
#define FRAMES_MAX 48
#define STACK_BYTES (64u * 1024u)  // Room for the line, the frames and the unwinder.
#define OWN_FRAMES 3               // put_backtrace, on_crash and the kernel's return trampoline.
#define LINE_BYTES 4096u           // PIPE_BUF: it leaves whole.
#define READER_WAIT_MS 100

struct object {
    uintptr_t base;  // What offsets are counted from: the load bias.
    uintptr_t start;
    uintptr_t end;
    char name[OBJECT_NAME_BYTES];
};

struct line {
    char text[LINE_BYTES];
    size_t length;
};

static const struct {
    int number;
    const char *name;
} signals[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGABRT, "SIGABRT"},
    {SIGFPE, "SIGFPE"},   {SIGILL, "SIGILL"},
};

static struct sigaction previous[CV_ARRAY_COUNT(signals)];
static struct object objects[OBJECTS_MAX];
static _Atomic uint32_t object_count;
static atomic_flag is_speaking = ATOMIC_FLAG_INIT;
static pid_t speaker;
static sigjmp_buf unreadable;
static pthread_key_t stack_key;

static void put(struct line *line, const char *text) {
    size_t bytes = CV_MIN(strlen(text), LINE_BYTES - 1 - line->length);
    memcpy(line->text + line->length, text, bytes);
    line->length += bytes;
}

static void put_number(struct line *line, uint64_t number, unsigned radix, unsigned width) {
    char digits[24];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % radix];
        number /= radix;
    } while (number > 0 || sizeof(digits) - 1 - at < width);
    put(line, digits + at);
}

// Days since the epoch to a date of the Gregorian calendar, in years that begin in March so that
// the leap day is the last one (no localtime here: it takes a lock).
static void put_time(struct line *line) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seconds = (uint64_t)now.tv_sec;
    uint64_t days = seconds / 86400 + 719468;  // Since 0000-03-01.
    uint64_t era = days / 146097;
    uint64_t day = days % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint64_t day_of_year = day - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * day_of_year + 2) / 153;
    uint64_t day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    put(line, "time=");
    put_number(line, year + era * 400 + (month <= 2), 10, 4);
    put(line, "-");
    put_number(line, month, 10, 2);
    put(line, "-");
    put_number(line, day_of_month, 10, 2);
    put(line, "T");
    put_number(line, seconds / 3600 % 24, 10, 2);
    put(line, ":");
    put_number(line, seconds / 60 % 60, 10, 2);
    put(line, ":");
    put_number(line, seconds % 60, 10, 2);
    put(line, ".");
    put_number(line, (uint64_t)now.tv_nsec / 1000000, 10, 3);
    put(line, "Z");
}

static void put_frame(struct line *line, uintptr_t address) {
    uint32_t count = atomic_load_explicit(&object_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        if (address >= objects[i].start && address < objects[i].end) {
            put(line, objects[i].name);
            put(line, "+0x");
            put_number(line, address - objects[i].base, 16, 1);
            return;
        }
    }
    put(line, "0x");
    put_number(line, address, 16, 1);
}

static void on_unreadable(int number) {
    (void)number;
    while (gettid() != speaker) {
        pause();
    }
    siglongjmp(unreadable, 1);
}

// Faults of what follows in this thread end at `unreadable`.
static void expect_faults(void) {
    struct sigaction action = {.sa_handler = on_unreadable, .sa_flags = SA_NODEFER};
    sigset_t faults;
    speaker = gettid();
    sigemptyset(&faults);
    sigaddset(&faults, SIGSEGV);
    sigaddset(&faults, SIGBUS);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}

// After a jump to where no code is there is nothing to unwind from, but the call that led there has
// left where it came from on the stack.
static void put_jump(struct line *line, const ucontext_t *context) {
    put_frame(line, (uintptr_t)context->uc_mcontext.gregs[REG_RIP]);
    if (sigsetjmp(unreadable, 0) == 0) {
        uintptr_t caller = *(const uintptr_t *)context->uc_mcontext.gregs[REG_RSP];
        put(line, ",");
        put_frame(line, caller);
    }
}

static CV_NOINLINE void put_backtrace(struct line *line, const ucontext_t *context) {
    void *frames[FRAMES_MAX];
    put(line, " backtrace=");
    expect_faults();
    int count = sigsetjmp(unreadable, 0) == 0 ? backtrace(frames, FRAMES_MAX) : 0;
    if (count <= OWN_FRAMES) {
        put_jump(line, context);
    }
    for (int i = OWN_FRAMES; i < count; i++) {
        if (i > OWN_FRAMES) {
            put(line, ",");
        }
        put_frame(line, (uintptr_t)frames[i]);
    }
}

// A reader that is only slow gets a moment; one that has stopped must not keep the crashed process
// from ending, because the next one starts only then.
static void say(const struct line *line) {
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    poll(&room, 1, READER_WAIT_MS);
    ssize_t written = cv_nowait_write(STDERR_FILENO, line->text, line->length);
    (void)written;
}

static size_t index_of(int number) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(signals); i++) {
        if (signals[i].number == number) {
            return i;
        }
    }
    return 0;
}

static void on_crash(int number, siginfo_t *info, void *context) {
    while (atomic_flag_test_and_set(&is_speaking)) {
        pause();
    }
    size_t index = index_of(number);
    struct line line = {.length = 0};
    char thread[17] = "";
    prctl(PR_GET_NAME, thread, 0, 0, 0);
    put_time(&line);
    put(&line, " level=error event=crash signal=");
    put(&line, signals[index].name);
    if (info->si_code > 0) {
        put(&line, " address=0x");
        put_number(&line, (uintptr_t)info->si_addr, 16, 1);
    } else {
        put(&line, " sender_pid=");  // Raised by a process: abort(3) is one's own.
        put_number(&line, (uint64_t)info->si_pid, 10, 1);
    }
    put(&line, " thread=");
    put(&line, thread);
    put_backtrace(&line, context);
    line.text[line.length++] = '\n';
    say(&line);
    // A fault happens again on return, now without us; a signal that was sent must be sent again.
    sigaction(number, &previous[index], NULL);
    if (info->si_code <= 0) {
        raise(number);
    }
}

// A module is loaded through its descriptor's entry in /proc; the link there, "/memfd:NAME
// (deleted)", says which file it was.
static const char *resolve(const char *path, char *target, size_t target_bytes) {
    static const char prefix[] = "/proc/self/fd/";
    if (strncmp(path, prefix, sizeof(prefix) - 1) != 0) {
        return path;
    }
    ssize_t length = readlink(path, target, target_bytes - 1);
    if (length <= 0) {
        return path;
    }
    target[length] = '\0';
    target[strcspn(target, " ")] = '\0';
    const char *colon = strchr(target, ':');
    return colon != NULL ? colon + 1 : target;
}

static void copy_name(struct object *object, const char *loaded_path) {
    char target[256];
    const char *path = resolve(loaded_path, target, sizeof(target));
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    if (*name == '\0') {
        name = "covet";  // The loader gives the program itself no name.
    }
    size_t length = strnlen(name, OBJECT_NAME_BYTES - 1);
    memcpy(object->name, name, length);
    object->name[length] = '\0';
}

static int note_object(struct dl_phdr_info *info, size_t info_bytes, void *context) {
    (void)info_bytes;
    uint32_t *count = context;
    if (*count == OBJECTS_MAX) {
        return 1;
    }
    struct object *object = &objects[*count];
    *object = (struct object){.base = info->dlpi_addr, .start = UINTPTR_MAX};
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD) {
            uintptr_t start = info->dlpi_addr + header->p_vaddr;
            object->start = CV_MIN(object->start, start);
            object->end = CV_MAX(object->end, start + header->p_memsz);
        }
    }
    copy_name(object, info->dlpi_name);
    (*count)++;
    return 0;
}

void cv_lastwords_refresh(void) {
    uint32_t count = 0;
    atomic_store_explicit(&object_count, 0, memory_order_relaxed);
    dl_iterate_phdr(note_object, &count);
    atomic_store_explicit(&object_count, count, memory_order_release);
}

static void free_stack(void *stack) {
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    munmap(stack, STACK_BYTES);
}

void cv_lastwords_thread(void) {
    void *memory =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    stack_t stack = {.ss_sp = memory, .ss_size = STACK_BYTES};
    if (sigaltstack(&stack, NULL) < 0) {
        munmap(memory, STACK_BYTES);
        return;
    }
    pthread_setspecific(stack_key, memory);
}

void cv_lastwords_install(void) {
    void *frames[4];
    backtrace(frames, CV_ARRAY_COUNT(frames));
    pthread_key_create(&stack_key, free_stack);
    cv_lastwords_refresh();
    cv_lastwords_thread();
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CV_ARRAY_COUNT(signals); i++) {
        sigaction(signals[i].number, &action, &previous[i]);
    }
}
