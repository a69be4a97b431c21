#include <covet/json.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "profile/arguments.h"
#include "profile/commands.h"
#include "profile/features.h"
#include "profile/session.h"

#define JSON_BYTES_MAX (CV_FEATURES_MAX * 2048u)

static void print_table(const struct cv_feature *features, size_t count) {
    for (size_t i = 0; i < count; i++) {
        printf("%-32s %-4s %s\n", features[i].name, features[i].is_possible ? "yes" : "no",
               features[i].why);
    }
}

static int print_json(const struct cv_feature *features, size_t count, unsigned level_max) {
    static char memory[JSON_BYTES_MAX];
    struct covet_json_writer writer;
    struct covet_span text;
    struct utsname kernel = {0};
    (void)uname(&kernel);
    covet_json_writer_init(&writer, memory, sizeof(memory), NULL, NULL);
    covet_json_write_object_begin(&writer);
    covet_json_write_key(&writer, "kernel");
    covet_json_write_text(&writer, kernel.release);
    covet_json_write_key(&writer, "level_max");
    covet_json_write_uint(&writer, level_max);
    covet_json_write_key(&writer, "features");
    covet_json_write_array_begin(&writer);
    for (size_t i = 0; i < count; i++) {
        covet_json_write_object_begin(&writer);
        covet_json_write_key(&writer, "feature");
        covet_json_write_text(&writer, features[i].name);
        covet_json_write_key(&writer, "possible");
        covet_json_write_bool(&writer, features[i].is_possible);
        covet_json_write_key(&writer, "why");
        covet_json_write_text(&writer, features[i].why);
        covet_json_write_object_end(&writer);
    }
    covet_json_write_array_end(&writer);
    covet_json_write_object_end(&writer);
    int error = covet_json_writer_finish(&writer, &text);
    if (error == 0) {
        printf("%.*s\n", (int)text.length, text.data);
    }
    return error;
}

int cv_check_main(int argc, char **argv) {
    struct cv_arguments arguments;
    struct cv_feature features[CV_FEATURES_MAX];
    unsigned level_max;
    int exit_code =
        cv_arguments_read(argc, argv, CV_ARGUMENT_PIN_DIR | CV_ARGUMENT_JSON, &arguments);
    if (exit_code >= 0) {
        return exit_code;
    }
    cv_session_step_back();
    size_t count = cv_features_find(arguments.attach.pin_dir, features, &level_max);
    if (!arguments.is_json) {
        print_table(features, count);
    } else if (print_json(features, count, level_max) != 0) {
        fprintf(stderr, "covet-prof: the result is too long for JSON\n");
        return CV_EXIT_FAILED;
    }
    return level_max > 0 ? 0 : CV_EXIT_IMPOSSIBLE;
}
