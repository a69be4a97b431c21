// covet-prof doctor: what is wrong, with the numbers that show it and what to do.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <covet/json.h>

#include "observe/procfs.h"
#include "profile/commands.h"
#include "profile/doctor.h"
#include "profile/window.h"

#define SECONDS 5.0
#define JSON_BYTES 32768u

static const char usage[] =
    "[-p PID] [--seconds N] [--json] [--fail-on warn|error] [--level N] [--pin-dir DIR]\n"
    "      --seconds N     how long to look (5)\n"
    "      --json          one JSON object\n"
    "      --fail-on S     exit with 3 when a finding is warn or error, or error; with 4 when\n"
    "                      there were no requests to look at\n" CV_WINDOW_HELP;

enum { FAIL_NEVER = -1 };

// The first core of a worker with a governor that saves power. None is told of in virtual machines.
static void read_machine(struct cv_doctor_machine *machine, const struct cv_snapshot *change) {
    char path[96], text[sizeof(machine->governor)];

    *machine = (struct cv_doctor_machine){0};
    for (uint32_t i = 0; i < change->worker_count; i++) {
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor",
                 change->workers[i].cpu);
        if (cv_procfs_read(path, text, sizeof(text)) <= 0)
            continue;
        text[strcspn(text, "\n")] = '\0';
        if (strcmp(text, "performance") != 0) {
            memcpy(machine->governor, text, sizeof(text));
            return;
        }
    }
}

static void show_text(const struct cv_window *window, const struct cv_snapshot *change,
                      const struct cv_finding *findings, size_t count) {
    uint32_t level = change->has_bpf ? change->info.level : 0;

    cv_window_print_head(window, change);
    if (level < 2)
        printf("not looked at: %ssystem calls\n", level == 0 ? "ring operations, TCP, " : "");
    for (size_t i = 0; i < count; i++)
        printf("\n%s %s: %s\n    %s\n    -> %s\n", cv_doctor_severity_name(findings[i].severity),
               findings[i].tag, findings[i].finding, findings[i].evidence, findings[i].remedy);
    if (count == 0)
        puts("\nnothing to report");
}

static void write_text(struct covet_json_writer *writer, const char *key, const char *text) {
    covet_json_write_key(writer, key);
    covet_json_write_text(writer, text);
}

static int show_json(const struct cv_snapshot *change, const struct cv_finding *findings,
                     size_t count) {
    struct covet_json_writer writer;
    struct covet_span text;
    char *memory = malloc(JSON_BYTES);

    if (memory == NULL)
        return CV_EXIT_FAILED;
    covet_json_writer_init(&writer, memory, JSON_BYTES, NULL, NULL);
    covet_json_write_object_begin(&writer);
    covet_json_write_key(&writer, "level");
    covet_json_write_uint(&writer, change->has_bpf ? change->info.level : 0);
    write_text(&writer, "note", change->bpf_note);
    covet_json_write_key(&writer, "interval_ns");
    covet_json_write_uint(&writer, change->interval_ns);
    covet_json_write_key(&writer, "findings");
    covet_json_write_array_begin(&writer);
    for (size_t i = 0; i < count; i++) {
        covet_json_write_object_begin(&writer);
        write_text(&writer, "severity", cv_doctor_severity_name(findings[i].severity));
        write_text(&writer, "tag", findings[i].tag);
        write_text(&writer, "finding", findings[i].finding);
        write_text(&writer, "evidence", findings[i].evidence);
        write_text(&writer, "remedy", findings[i].remedy);
        covet_json_write_object_end(&writer);
    }
    covet_json_write_array_end(&writer);
    covet_json_write_object_end(&writer);
    int result = covet_json_writer_finish(&writer, &text) == 0 ? 0 : CV_EXIT_FAILED;
    if (result == 0)
        printf("%.*s\n", (int)text.length, text.data);
    free(memory);
    return result;
}

// The findings are sorted, so the first is the worst.
static int verdict(const struct cv_snapshot *change, const struct cv_finding *findings,
                   size_t count, int fail_on) {
    struct cv_snapshot_worker total;

    if (fail_on == FAIL_NEVER)
        return 0;
    if (count > 0 && (int)findings[0].severity >= fail_on)
        return CV_EXIT_OVER;
    cv_snapshot_total(change, &total);
    return total.counter[COVET_COUNTER_REQUESTS] == 0 ? CV_EXIT_UNMEASURABLE : 0;
}

static int examine(struct cv_window *window, const struct cv_window_options *options, int fail_on) {
    struct cv_finding findings[CV_FINDINGS_MAX];
    struct cv_snapshot change = {0};
    struct cv_window_peak peak;
    struct cv_doctor_machine machine;
    int result = cv_window_begin(window);

    if (result == 0)
        result = cv_window_wait(window, options->seconds, -1, &change, &peak);
    if (result == 0) {
        read_machine(&machine, &change);
        size_t count = cv_doctor_examine(findings, &change, &peak, &machine);
        if (options->is_json)
            result = show_json(&change, findings, count);
        else
            show_text(window, &change, findings, count);
        if (result == 0 && fflush(stdout) == 0)
            result = verdict(&change, findings, count, fail_on);
    }
    cv_snapshot_deinit(&change);
    return result;
}

int cv_doctor_main(int argc, char **argv) {
    static const struct option long_options[] = {{"seconds", required_argument, NULL, 's'},
                                                 {"json", no_argument, NULL, 'j'},
                                                 {"fail-on", required_argument, NULL, 'f'},
                                                 CV_WINDOW_LONG_OPTIONS,
                                                 {0}};
    struct cv_window_options options = {.level = CV_WINDOW_LEVEL, .seconds = SECONDS};
    struct cv_window window;
    int fail_on = FAIL_NEVER;
    int letter;

    while ((letter = getopt_long(argc, argv, CV_WINDOW_LETTERS, long_options, NULL)) != -1) {
        if (letter == 'f') {
            if (strcmp(optarg, "warn") != 0 && strcmp(optarg, "error") != 0)
                return cv_window_usage(argv[0], usage, "--fail-on is warn or error, not %s",
                                       optarg);
            fail_on = strcmp(optarg, "warn") == 0 ? CV_SEVERITY_WARN : CV_SEVERITY_ERROR;
            continue;
        }
        int result = cv_window_option(&options, letter, argv, usage);
        if (result >= 0)
            return result;
    }
    if (optind < argc)
        return cv_window_usage(argv[0], usage, "%s is not understood", argv[optind]);
    int result = cv_window_open(&window, &options, argv[0]);
    if (result != 0)
        return result;
    result = examine(&window, &options, fail_on);
    cv_window_close(&window);
    return result;
}
