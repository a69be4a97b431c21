// The subcommands of covet-prof that are no more than a command. Each is called with its own name
// in argv[0] and returns the exit code of the program.
#ifndef CV_PROFILE_COMMANDS_H
#define CV_PROFILE_COMMANDS_H

#include "base/compiler.h"

// Exit codes of every subcommand; 0: done.
#define CV_EXIT_FAILED 1        // With a message.
#define CV_EXIT_OVER 3          // A budget is exceeded, a finding is as bad as asked for.
#define CV_EXIT_UNMEASURABLE 4  // No answer, which is not the answer yes.
#define CV_EXIT_USAGE 64
#define CV_EXIT_IMPOSSIBLE 77  // Not with these rights, or not on this kernel.

// Attaches to a running covet and follows it; the default when no subcommand is named.
CV_MUST_USE int cv_attach_main(int argc, char **argv);
// Starts a covet under a profiler that is there before it.
CV_MUST_USE int cv_run_main(int argc, char **argv);
// What this kernel and these rights allow.
CV_MUST_USE int cv_check_main(int argc, char **argv);
// Removes what a killed profiler has left.
CV_MUST_USE int cv_clean_main(int argc, char **argv);

// Shows figures of a running covet.
CV_MUST_USE int cv_stat_main(int argc, char **argv);
// Holds them to a file of limits.
CV_MUST_USE int cv_budget_main(int argc, char **argv);
// Compares two of its outputs.
CV_MUST_USE int cv_diff_main(int argc, char **argv);
// Says what is wrong.
CV_MUST_USE int cv_doctor_main(int argc, char **argv);

#endif
