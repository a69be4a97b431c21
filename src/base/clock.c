// Cached time and its texts.
//
// The calendar is computed here and not by gmtime_r, which takes the C library's time zone lock:
// the date is rendered by every worker at the same moment, and log lines may come from anywhere.
// The days are counted from 1 March of year 0, so the leap day is the last of its year and months
// have a regular rhythm: 153 days in every five of them.
#include "base/clock.h"

#include <cpuid.h>
#include <time.h>

#include "base/assert.h"

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define CHECK_NS_MAX (100 * NS_PER_MS)
#define RATE_NS_MIN (1000 * NS_PER_MS)
#define READINGS 3u

#define SECONDS_PER_DAY 86400
#define DAYS_PER_YEAR 365
#define DAYS_PER_4_YEARS 1461
#define DAYS_PER_CENTURY 36524
#define DAYS_PER_400_YEARS 146097
#define DAYS_TO_EPOCH 719468  // From 0000-03-01 to 1970-01-01.

#define REALTIME_S_MIN (-62167219200ll)  // 0000-01-01T00:00:00Z
#define REALTIME_S_MAX 253402300799ll    // 9999-12-31T23:59:59Z

static const char weekday_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct calendar {
    uint32_t year;
    uint32_t month;    // 0 is January.
    uint32_t day;      // 1 to 31.
    uint32_t weekday;  // 0 is Sunday.
    uint32_t hour;
    uint32_t minute;
    uint32_t second;
};

static int64_t divide_down(int64_t value, int64_t divisor) {
    int64_t quotient = value / divisor;

    return value % divisor < 0 ? quotient - 1 : quotient;
}

static struct calendar calendar_of(int64_t realtime_s) {
    int64_t shown_s = CV_MAX(REALTIME_S_MIN, CV_MIN(realtime_s, REALTIME_S_MAX));
    int64_t epoch_day = divide_down(shown_s, SECONDS_PER_DAY);
    uint32_t second_of_day = (uint32_t)(shown_s - epoch_day * SECONDS_PER_DAY);
    int64_t day = epoch_day + DAYS_TO_EPOCH;
    int64_t cycle = divide_down(day, DAYS_PER_400_YEARS);
    uint32_t rest = (uint32_t)(day - cycle * DAYS_PER_400_YEARS);
    // The last day of a 4-year or 400-year cycle is its leap day: it makes no further year.
    uint32_t century = CV_MIN(rest / DAYS_PER_CENTURY, 3u);
    uint32_t of_century = rest - century * DAYS_PER_CENTURY;
    uint32_t four = of_century / DAYS_PER_4_YEARS;
    uint32_t of_four = of_century - four * DAYS_PER_4_YEARS;
    uint32_t single = CV_MIN(of_four / DAYS_PER_YEAR, 3u);
    uint32_t of_year = of_four - single * DAYS_PER_YEAR;
    uint32_t march_month = (of_year * 5 + 2) / 153;  // 0 is March.
    int64_t march_year = cycle * 400 + century * 100 + four * 4 + single;

    return (struct calendar){
        .year = (uint32_t)(march_year + (march_month >= 10)),
        .month = (march_month + 2) % 12,
        .day = of_year - (march_month * 153 + 2) / 5 + 1,
        .weekday = (uint32_t)((day + 3) % 7 + 7) % 7,  // 0000-03-01 is a Wednesday.
        .hour = second_of_day / 3600,
        .minute = second_of_day / 60 % 60,
        .second = second_of_day % 60,
    };
}

static char *put_digits(char *at, uint32_t value, int count) {
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

static char *put_name(char *at, const char *names, uint32_t index) {
    memcpy(at, names + (size_t)index * 3, 3);
    return at + 3;
}

static char *put_text(char *at, const char *text) {
    size_t length = strlen(text);

    memcpy(at, text, length);
    return at + length;
}

static char *put_time(char *at, const struct calendar *calendar) {
    at = put_digits(at, calendar->hour, 2);
    *at++ = ':';
    at = put_digits(at, calendar->minute, 2);
    *at++ = ':';
    return put_digits(at, calendar->second, 2);
}

void cv_clock_format_date(char out[CV_CLOCK_DATE_BYTES + 1], int64_t realtime_s) {
    struct calendar calendar = calendar_of(realtime_s);
    char *at = put_name(out, weekday_names, calendar.weekday);

    at = put_text(at, ", ");
    at = put_digits(at, calendar.day, 2);
    *at++ = ' ';
    at = put_name(at, month_names, calendar.month);
    *at++ = ' ';
    at = put_digits(at, calendar.year, 4);
    *at++ = ' ';
    at = put_time(at, &calendar);
    at = put_text(at, " GMT");
    *at = '\0';
}

void cv_clock_format_clf(char out[CV_CLOCK_CLF_BYTES + 1], int64_t realtime_s) {
    struct calendar calendar = calendar_of(realtime_s);
    char *at = put_digits(out, calendar.day, 2);

    *at++ = '/';
    at = put_name(at, month_names, calendar.month);
    *at++ = '/';
    at = put_digits(at, calendar.year, 4);
    *at++ = ':';
    at = put_time(at, &calendar);
    at = put_text(at, " +0000");
    *at = '\0';
}

void cv_clock_format_iso(char out[CV_CLOCK_ISO_BYTES + 1], int64_t realtime_ms) {
    struct calendar calendar = calendar_of(divide_down(realtime_ms, 1000));
    char *at = put_digits(out, calendar.year, 4);

    *at++ = '-';
    at = put_digits(at, calendar.month + 1, 2);
    *at++ = '-';
    at = put_digits(at, calendar.day, 2);
    *at++ = 'T';
    at = put_time(at, &calendar);
    *at++ = '.';
    at = put_digits(at, (uint32_t)((realtime_ms % 1000 + 1000) % 1000), 3);
    *at++ = 'Z';
    *at = '\0';
}

static struct timespec read_clock(clockid_t id) {
    struct timespec time;
    int result = clock_gettime(id, &time);

    CV_ASSERT(result == 0);
    return time;
}

uint64_t cv_clock_monotonic_ns(void) {
    struct timespec time = read_clock(CLOCK_MONOTONIC);

    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

void cv_clock_lower_timeout(int *timeout_ms, uint64_t now_ns, uint64_t deadline_ns) {
    if (deadline_ns == UINT64_MAX)
        return;

    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    uint64_t left_ms = left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0);
    int timeout = (int)CV_MIN(left_ms, (uint64_t)INT32_MAX);
    if (*timeout_ms < 0 || timeout < *timeout_ms)
        *timeout_ms = timeout;
}

int64_t cv_clock_realtime_ms(void) {
    struct timespec time = read_clock(CLOCK_REALTIME);

    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / (int64_t)NS_PER_MS;
}

static void set_now(struct cv_clock *clock, uint64_t now_ns) {
    clock->now_ns = now_ns;
    clock->now_ms = now_ns / NS_PER_MS;
}

static void set_realtime(struct cv_clock *clock, int64_t realtime_s) {
    char *date = clock->date_line + CV_CLOCK_NAME_BYTES;

    clock->realtime_s = realtime_s;
    memcpy(clock->date_line, "\r\nDate: ", CV_CLOCK_NAME_BYTES);
    cv_clock_format_date(date, realtime_s);
    memcpy(date + CV_CLOCK_DATE_BYTES, "\r\n\r\n", 5);
}

static void check_realtime(struct cv_clock *clock) {
    struct timespec time = read_clock(CLOCK_REALTIME);
    uint64_t left_ns = NS_PER_S - (uint64_t)time.tv_nsec;

    clock->check_at_ns = clock->now_ns + CV_MIN(left_ns, CHECK_NS_MAX);
    if (time.tv_sec != clock->realtime_s)
        set_realtime(clock, time.tv_sec);
}

// Invariant: the same rate in every state of the processor (AMD64 manual volume 3, CPUID
// Fn8000_0007).
static bool has_steady_ticks(void) {
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & 1u << 8) != 0;
}

// Both at one moment. The thread may lose its core between the two, for a tenth of a second on a
// machine that is shared: of a few readings the closest counts.
static void read_both(uint64_t *now_ns, uint64_t *ticks) {
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < READINGS; i++) {
        uint64_t before = __rdtsc(), ns = cv_clock_monotonic_ns(), after = __rdtsc();

        if (after - before < least) {
            least = after - before;
            *now_ns = ns;
            *ticks = after;
        }
    }
}

// Every second anew, since a virtual machine may have moved to another processor.
static void rate_ticks(struct cv_clock *clock) {
    uint64_t now_ns = clock->now_ns, ticks = 0;

    if (now_ns - clock->rated_ns < RATE_NS_MIN)
        return;
    read_both(&now_ns, &ticks);
    if (ticks > clock->rated_ticks)
        clock->ns_per_tick = (uint64_t)(((unsigned __int128)(now_ns - clock->rated_ns) << 32) /
                                        (ticks - clock->rated_ticks));
    clock->rated_ns = now_ns;
    clock->rated_ticks = ticks;
}

void cv_clock_init(struct cv_clock *clock) {
    set_now(clock, cv_clock_monotonic_ns());
    set_realtime(clock, 0);
    check_realtime(clock);
    clock->ns_per_tick = 0;
    clock->rated_ns = clock->rated_ticks = 0;
    if (has_steady_ticks())
        read_both(&clock->rated_ns, &clock->rated_ticks);
}

void cv_clock_update(struct cv_clock *clock) {
    set_now(clock, cv_clock_monotonic_ns());
    if (CV_UNLIKELY(clock->now_ns >= clock->check_at_ns)) {
        check_realtime(clock);
        if (clock->rated_ticks != 0)
            rate_ticks(clock);
    }
}

void cv_clock_set(struct cv_clock *clock, uint64_t now_ns, int64_t realtime_s) {
    set_now(clock, now_ns);
    clock->check_at_ns = now_ns;
    clock->ns_per_tick = clock->rated_ticks = 0;
    set_realtime(clock, realtime_s);
}
