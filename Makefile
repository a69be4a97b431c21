# One command per job; `make help` lists them. Every output goes below build/<variant>/, but the
# links ./covet and compile_commands.json. Sources are found by name, so a new file needs no line here:
#   src/<module>/*.c       libcovet (src/cli/main.c alone is the program)
#   examples/*.c           loadable modules; examples/standalone_*.c: programs on libcovet.a
#   perf/*.c               programs
#   tools/<tool>/*.c       one program each, covet-<tool>, and the link tools/covet-<tool>
#   bpf/*.bpf.c            the kernel's side of profiling, one object of them all, its skeleton for
#   src/profile/*.c        covet-prof, with the link tools/covet-prof; left out without clang and libbpf
#   src/observe/*.c        what reads a running covet from outside: an archive for the tools
#   tests/unit/*/test_*.c  one test program each, with tests/support/*.c and -lcmocka
#   tests/fuzz/fuzz_*.c    one libFuzzer target each
#   perf/bench/*           one program, the micro-benchmarks; peers that are not installed are left out

VARIANT ?= release
B := build/$(VARIANT)
PREFIX ?= /usr/local
VERSION := $(shell sed -n 's/^\#define COVET_VERSION "\(.*\)"/\1/p' include/covet.h include/covet/*.h 2>/dev/null)
SOVERSION := 0

# -j given on the command line wins over this one. `clean` beside another goal needs their order.
ifeq ($(MAKELEVEL)$(filter clean,$(MAKECMDGOALS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.SECONDARY:

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin AR),default)
AR := ar
endif
CFLAGS ?= -O2 -g
LIBURING_CFLAGS := $(shell pkg-config --cflags liburing 2>/dev/null)
LIBURING_LIBS := $(or $(shell pkg-config --libs liburing 2>/dev/null),-luring)

warnings := -Wall -Wextra -Wshadow -Wconversion
ifneq ($(filter 1 true yes,$(WERROR) $(CI)),)
warnings += -Werror
endif

# A variant is what is built in, beside the user's CFLAGS. The sanitizers check memory themselves, so
# fortified calls would only hide what they see.
hardening := -fstack-protector-strong -fstack-clash-protection -fcf-protection
ifeq ($(VARIANT),asan)
variant_flags := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(VARIANT),tsan)
variant_flags := -O1 -fno-omit-frame-pointer -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
variant_flags := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -DCV_FUZZING
else ifeq ($(VARIANT),coverage)
variant_flags := -O1 -fprofile-instr-generate -fcoverage-mapping -DCV_FUZZING
else ifeq ($(VARIANT),valgrind)
variant_flags := -O1 -fno-omit-frame-pointer -DCV_VALGRIND
else
fortify := $(if $(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
variant_flags := $(hardening) $(fortify) -DNDEBUG
so_defs := -Wl,-z,defs
# A request passes some forty small functions of a dozen files; joining them at link time takes about
# 8 % off a pipelined one. Objects stay usable without it, so the archive suits any linker, and tests,
# which put functions of their own in the place of ours, link without.
ifneq ($(findstring Free Software Foundation,$(shell $(CC) --version 2>/dev/null)),)
lto := -flto=auto -ffat-lto-objects
no_lto := -fno-lto
# The string instructions GCC would use for short copies take some thirty cycles to begin.
strings := vector_loop:256:noalign,libcall:-1:noalign
lto += -mmemcpy-strategy=$(strings) -mmemset-strategy=$(strings)
endif
endif

# One set of PIC objects serves the archive, the shared library and the program. Only what is marked
# COVET_EXPORT is visible, so calls between our own files stay direct.
compile_flags = -std=gnu17 -D_GNU_SOURCE $(includes) $(LIBURING_CFLAGS) $(warnings) -pthread \
	-fPIC -fno-semantic-interposition $(visibility) $(CFLAGS) $(variant_flags) $(lto) $(CPPFLAGS)
includes = -Isrc -Iinclude -iquote .
link_flags := -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(variant_flags) $(lto) $(LDFLAGS)
# Modules find covet_* in the program that loads them, and nothing else of it.
program_flags := -pie -Wl,--export-dynamic-symbol='covet_*'
libraries := $(LIBURING_LIBS)

# Only these files may hold instructions beyond baseline x86-64; they run when the CPU has them. Packing
# scalars into vectors costs more there than it saves (docs/notes/0005-request-parser.md).
simd_flags = $(if $(filter %_avx2.c,$1),-mavx2 -mbmi -mbmi2 -fno-tree-slp-vectorize)

lib_sources := $(filter-out src/cli/main.c src/observe/% src/profile/% src/pybridge/%,$(wildcard src/*/*.c))
observe_sources := $(wildcard src/observe/*.c)
example_sources := $(wildcard examples/*.c)
module_sources := $(filter-out examples/standalone_%,$(example_sources))
standalone_sources := $(filter examples/standalone_%,$(example_sources))
program_sources := $(wildcard perf/*.c)
tool_sources := $(wildcard tools/*/*.c)
tools := $(sort $(foreach source,$(tool_sources),$(word 2,$(subst /, ,$(source)))))
support_sources := $(wildcard tests/support/*.c)

# Profiling needs a compiler for the kernel's side, bpftool for the skeleton and libbpf to load it. On
# Ubuntu the bpftool of the path is a script that wants the running kernel's; any version will do here.
BPF_CLANG ?= $(firstword $(shell command -v clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 2>/dev/null))
BPFTOOL ?= $(shell for tool in bpftool /usr/sbin/bpftool /usr/lib/linux-tools*/*/bpftool /usr/lib/linux-tools*/bpftool; do \
	$$tool version >/dev/null 2>&1 && echo $$tool && break; done)
bpf_missing := $(strip $(if $(BPF_CLANG),,clang) $(if $(BPFTOOL),,bpftool) \
	$(if $(shell pkg-config --exists 'libbpf >= 1.0' libelf 2>/dev/null && echo yes),,libbpf-dev))
bpf_sources := $(wildcard bpf/*.bpf.c)
profile_sources := $(if $(bpf_missing),,$(wildcard src/profile/*.c))
profiler := $(if $(filter %/main.c,$(profile_sources)),$(B)/covet-prof)

test_sources := $(filter-out $(if $(profiler),,tests/unit/profile/%),$(wildcard tests/unit/*/test_*.c))
bench_sources := $(wildcard perf/bench/*.c)
bench_peer_sources := $(wildcard perf/bench/*.cpp)
fuzz_profile := $(addprefix tests/fuzz/fuzz_,budget.c cfi.c image.c)
fuzz_sources := $(filter-out $(if $(profiler),,$(fuzz_profile)),$(wildcard tests/fuzz/fuzz_*.c))
sources := $(lib_sources) $(observe_sources) $(profile_sources) src/cli/main.c $(module_sources) $(standalone_sources) \
	$(program_sources) $(tool_sources) $(support_sources) $(test_sources) $(wildcard tests/sim/*.c tests/torture/*.c) $(bench_sources) $(wildcard tests/fuzz/*.c)
headers := $(wildcard src/*/*.h include/*.h include/covet/*.h bpf/*.h)

objects_of = $(patsubst %.c,$(B)/obj/%.o,$1)
lib_objects := $(call objects_of,$(lib_sources))
modules := $(patsubst %.c,$(B)/%.so,$(module_sources))
standalones := $(patsubst %.c,$(B)/%,$(standalone_sources))
programs := $(addprefix $(B)/,$(basename $(notdir $(program_sources))) $(addprefix covet-,$(tools)))
tests := $(patsubst %.c,$(B)/%,$(test_sources))
libraries_built := $(B)/libcovet.a $(B)/libcovet.so

V ?= 0
quiet = $(if $(filter 0,$(V)),@printf '  %-6s %s\n' $1 $2;)

##@ Build
.PHONY: all
all: program examples programs ## Build program, libraries, examples, tools (default; CC=clang, CFLAGS=, WERROR=1, V=1)
	@echo "covet is up to date: $(B)/covet"

.PHONY: program examples programs test-programs libraries
program: $(B)/covet $(libraries_built) $(if $(filter release,$(VARIANT)),link)
libraries: $(libraries_built)
examples: $(modules) $(standalones)
programs: $(programs) $(profiler) $(if $(filter release,$(VARIANT)),link-tools)
ifneq ($(bpf_missing),)
	@echo 'covet-prof: skipped, missing: $(bpf_missing) (scripts/install-deps)'
endif
test-programs: $(tests)

.PHONY: link
link: $(B)/covet
	@[ "$$(readlink covet)" = $< ] || ln -sfn $< covet

.PHONY: link-tools
link-tools: $(addprefix $(B)/covet-,$(tools)) $(profiler)
	@for tool in $(tools) $(if $(profiler),prof); do [ "$$(readlink tools/covet-$$tool)" = ../$(B)/covet-$$tool ] || \
		ln -sfn ../$(B)/covet-$$tool tools/covet-$$tool; done

# The layer check is part of the build: objects come after it, so an upward include stops it all.
$(B)/layers.ok: $(wildcard src/*/*.c) $(headers) $(example_sources) scripts/check_layers.py
	@mkdir -p $(@D)
	@python3 scripts/check_layers.py
	@touch $@

# Text that matters to a rule but is no file: rewritten only when it differs.
define keep_text
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$1)' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$1)' >$@
endef
$(B)/flags.txt: FORCE
	$(call keep_text,$(CC) $(compile_flags) | $(link_flags) $(program_flags) $(libraries))
$(B)/objects.txt: FORCE
	$(call keep_text,$(lib_objects))
$(B)/support.txt: FORCE
	$(call keep_text,$(support_sources))
.PHONY: FORCE
FORCE:

compile = $(CC) $(compile_flags) $(call simd_flags,$1) -c $1 -o $2
$(B)/obj/%.o: %.c $(B)/flags.txt | $(B)/layers.ok
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(call compile,$<,$@) -MMD -MP

$(B)/obj/src/%.o: private visibility = -fvisibility=hidden
# Examples see what users see.
$(B)/obj/examples/%.o: private includes = -Iinclude
$(B)/obj/tools/%.o: private includes = -Isrc -Iinclude -Itools -iquote .
$(B)/obj/tests/sim/%.o: private includes = -Isrc -Iinclude -Itests
$(B)/obj/tests/torture/%.o: private includes = -Isrc -Iinclude -Itests
$(B)/obj/tests/%.o: private includes = -Isrc -Iinclude -Itests -Itools -iquote .
$(B)/obj/tests/unit/profile/%.o: private includes = -Isrc -Iinclude -Itests -Itools -iquote . -I$(B)/gen
$(B)/obj/perf/bench/%.o: private includes = -Isrc -Iinclude -Itests
$(B)/obj/src/profile/%.o: private includes = -Isrc -Iinclude -iquote . -I$(B)/gen

archive = rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
$(B)/libcovet.a: $(lib_objects) $(B)/objects.txt
	$(call quiet,AR,$@)$(archive)

$(B)/libcovet.so.$(SOVERSION): $(lib_objects) $(B)/objects.txt
	$(call quiet,LD,$@)$(CC) -shared $(link_flags) $(so_defs) -Wl,-soname,$(notdir $@) \
		$(filter %.o,$^) $(libraries) -o $@
$(B)/libcovet.so: $(B)/libcovet.so.$(SOVERSION)
	@ln -sfn $(<F) $@

# The objects, not the archive: modules may call any covet_* function, so all of them must be there.
$(B)/covet: $(B)/obj/src/cli/main.o $(lib_objects) $(B)/objects.txt
	$(call quiet,LD,$@)$(CC) $(link_flags) $(program_flags) $(filter %.o,$^) $(libraries) -o $@

$(modules): $(B)/%.so: $(B)/obj/%.o
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(CC) -shared $(link_flags) $< -o $@

link_program = $(CC) $(link_flags) $(program_flags) $(filter %.o,$^) $(filter %.a,$^) $(libraries) -o $@
$(standalones): $(B)/%: $(B)/obj/%.o $(B)/libcovet.a
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(link_program)

define program_rule
$(B)/$(basename $(notdir $1)): $(call objects_of,$1) $(B)/libcovet.a
	$$(call quiet,LD,$$@)$$(link_program)
endef
$(foreach source,$(program_sources),$(eval $(call program_rule,$(source))))

# The kernel's side: each probe alone, then linked into one object without its DWARF, then a header that
# carries it. The CPU's own counting instructions need version 3 of the instruction set.
bpf_objects := $(patsubst bpf/%.c,$(B)/bpf/%.o,$(bpf_sources))
$(B)/bpf/%.o: bpf/%.c
	@mkdir -p $(@D)
	$(call quiet,BPF,$<)$(BPF_CLANG) --target=bpf -mcpu=v3 -O2 -g -std=gnu17 -ffreestanding -Wall -Wextra -Werror \
		-D__TARGET_ARCH_x86 -Iinclude -idirafter /usr/include/x86_64-linux-gnu -c $< -o $@ -MMD -MP
$(B)/bpf/covet.o: $(bpf_objects)
	$(call quiet,BPF,$@)$(BPFTOOL) gen object $@ $^
$(B)/gen/covet.skel.h: $(B)/bpf/covet.o
	@mkdir -p $(@D)
	$(call quiet,BPF,$@){ printf '%s\n' '#pragma GCC system_header' '// NOLINTBEGIN'; \
		$(BPFTOOL) gen skeleton $< name covet_bpf; echo '// NOLINTEND'; } >$@

$(B)/observe.a: $(call objects_of,$(observe_sources))
	$(call quiet,AR,$@)$(archive)
profile_objects := $(call objects_of,$(profile_sources))
$(profile_objects) $(patsubst %,$(B)/obj/%.o,$(basename $(filter tests/unit/profile/%,$(test_sources)))): | $(B)/gen/covet.skel.h
$(B)/obj/src/profile/flame_svg.o: src/profile/flame_svg.js src/profile/flame_svg.css
# The assembler copies these in, so the compiler knows nothing of them.
$(B)/obj/src/profile/page_assets.o: $(wildcard src/profile/page/*)
$(B)/profile.a: $(filter-out %/main.o,$(profile_objects))
	$(call quiet,AR,$@)$(archive)
$(B)/covet-prof: $(B)/obj/src/profile/main.o $(B)/profile.a $(B)/observe.a $(B)/libcovet.a
	$(call quiet,LD,$@)$(link_program) -lbpf -lelf
$(filter $(B)/tests/unit/observe/%,$(tests)): $(B)/observe.a
$(filter $(B)/tests/unit/profile/%,$(tests)): $(B)/profile.a $(B)/observe.a
$(filter $(B)/tests/unit/profile/%,$(tests)): private libraries += -lbpf -lelf

# A tool is its main.c and an archive of the rest, which its unit tests (tests/unit/<tool>) link too.
define tool_rule
$(B)/tools/$1.a: $(call objects_of,$(filter-out %/main.c,$(filter tools/$1/%,$(tool_sources))))
	@mkdir -p $$(@D)
	$$(call quiet,AR,$$@)$$(archive)
$(B)/covet-$1: $(B)/obj/tools/$1/main.o $(B)/tools/$1.a $(B)/observe.a $(B)/libcovet.a
	$$(call quiet,LD,$$@)$$(link_program)
$(filter $(B)/tests/unit/$1/%,$(tests)): $(B)/tools/$1.a $(B)/observe.a
endef
$(foreach tool,$(tools),$(eval $(call tool_rule,$(tool))))

# The assembler copies it in.
$(B)/obj/tests/unit/http/test_llhttp.o: tests/unit/http/llhttp.data

# A test that defines __wrap_NAME replaces NAME in every object it is linked with.
$(B)/libtestsupport.a: $(call objects_of,$(support_sources)) $(B)/support.txt
	$(call quiet,AR,$@)$(archive)
wraps = $$(sed -nE 's/^.*[ *]__wrap_([A-Za-z0-9_]+)\(.*/-Wl,--wrap=\1/p' $1 | sort -u)
$(tests): $(B)/%: $(B)/obj/%.o $(B)/libtestsupport.a $(B)/libcovet.a
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(CC) $(link_flags) $(no_lto) -pie $(call wraps,$*.c) $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(libraries) -lcmocka -o $@

# The simulator: the server's own objects on a kernel of one seed. Its rings, sockets and clock stand in for
# the real ones.
sim_sources := $(wildcard tests/sim/*.c)
sim_wraps := $(foreach name,clock_gettime eventfd write close unshare sched_setaffinity cv_clock_init \
	cv_schedstat_open cv_schedstat_waited_ns cv_overload_on_echo cv_overload_admits cv_overload_end_turn,-Wl,--wrap=$(name))
$(call objects_of,$(sim_sources)): private CFLAGS += -O3  # A twentieth faster.
slab_wraps := $(foreach name,mmap munmap madvise,-Wl,--wrap=$(name))
$(B)/covet-sim: $(call objects_of,$(sim_sources)) $(B)/libcovet.a
	$(call quiet,LD,$@)$(CC) $(link_flags) $(no_lto) -pie $(sim_wraps) $(slab_wraps) $(filter %.o,$^) $(filter %.a,$^) $(libraries) -o $@

# The same simulation, in which every call that can fail does. The server's objects alone get memory that fails.
torture_objects := $(call objects_of,$(filter-out %/main.c %/slabs.c,$(sim_sources)) $(wildcard tests/torture/*.c))
torture_wraps := $(foreach name,cv_pool_acquire_slow cv_arena_alloc_slow cv_arena_copy cv_arena_reset cv_log,-Wl,--wrap=$(name))
$(B)/torture.a: $(B)/libcovet.a tests/torture/redefined.txt
	$(call quiet,AR,$@)objcopy -R '.gnu.lto_*' --redefine-syms=tests/torture/redefined.txt $< $@
$(B)/covet-torture: $(torture_objects) $(B)/torture.a
	$(call quiet,LD,$@)$(CC) $(link_flags) $(no_lto) -pie $(sim_wraps) $(torture_wraps) $(filter %.o,$^) $(filter %.a,$^) \
		$(libraries) -o $@

# Each target is a program on the instrumented library; they are built with VARIANT=fuzz.
fuzzers := $(patsubst tests/fuzz/%.c,$(B)/%,$(fuzz_sources))
$(B)/fuzz_answers $(B)/fuzz_admin: $(B)/tools/load.a
$(B)/fuzz_budget $(B)/fuzz_cfi $(B)/fuzz_image: $(B)/profile.a $(B)/observe.a
$(B)/fuzz_budget $(B)/fuzz_cfi $(B)/fuzz_image: private libraries += -lbpf -lelf
# The whole server, on the simulated kernel, with an application and a client of its own.
fuzz_server_objects := $(call objects_of,$(addprefix tests/sim/,kernel.c lag.c torture.c world.c) $(wildcard tests/fuzz/server_*.c))
$(B)/fuzz_server: $(fuzz_server_objects)
$(B)/fuzz_server: private fuzz_wraps := $(sim_wraps) -Wl,--wrap=_exit
$(fuzzers): $(B)/%: $(B)/obj/tests/fuzz/%.o $(B)/libcovet.a
	$(call quiet,LD,$@)$(CC) $(link_flags) $(fuzz_wraps) -fsanitize=fuzzer $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(libraries) -o $@
.PHONY: fuzzers
fuzzers: $(fuzzers)

# The peers are what the distribution packages; a C++ one needs its headers and a C++ compiler.
CXX := $(if $(filter default,$(origin CXX)),g++,$(CXX))
has_header = $(wildcard $(addsuffix /$1,/usr/include /usr/include/x86_64-linux-gnu))
bench_peers := $(if $(shell command -v $(CXX)),$(patsubst %.cpp,$(B)/obj/%.o,$(bench_peer_sources)))
bench_libraries := $(if $(call has_header,simdjson.h),-lsimdjson) $(if $(call has_header,jansson.h),-ljansson) \
	$(if $(call has_header,http_parser.h),-lhttp_parser)
$(B)/obj/%.o: %.cpp $(B)/flags.txt
	@mkdir -p $(@D)
	$(call quiet,CXX,$<)$(CXX) -std=c++17 -O3 -march=native -DNDEBUG -Wall -Wextra -Iinclude -c $< -o $@ -MMD -MP
$(B)/bench: $(call objects_of,$(bench_sources)) $(bench_peers) $(B)/libcovet.a
	$(call quiet,LD,$@)$(if $(bench_peers),$(CXX),$(CC)) $(link_flags) $(program_flags) $(filter %.o %.a,$^) \
		$(libraries) $(bench_libraries) -o $@

-include $(patsubst %.c,$(B)/obj/%.d,$(sources)) $(patsubst bpf/%.c,$(B)/bpf/%.d,$(bpf_sources))

##@ Test
.PHONY: test test-asan test-tsan
test: all test-programs ## Unit and integration tests (ONLY=word runs those whose name holds it)
	@python3 scripts/run_tests.py --build $(B) --only '$(ONLY)'
test-asan: ## The same tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) VARIANT=asan test
test-tsan: ## The same tests under ThreadSanitizer
	@$(MAKE) VARIANT=tsan test

# fuzz_<name> starts from tests/fuzz/corpus/<name> and keeps what it finds in build/fuzz/corpus.
SECONDS ?= 600
.PHONY: fuzz fuzz-regress fuzz-coverage
fuzz: ## Fuzz every codec and the whole server, SECONDS=600 in all (ONLY=word: some; scripts/install-deps --dev)
	@$(MAKE) VARIANT=fuzz CC=clang fuzzers
	@scripts/fuzz run build/fuzz '$(ONLY)' $(SECONDS)
fuzz-regress: ## Run every fuzz target once over its kept inputs
	@$(MAKE) VARIANT=fuzz CC=clang fuzzers
	@scripts/fuzz regress build/fuzz '$(ONLY)'
fuzz-coverage: ## Which lines of the codecs the kept inputs reach; fails below 95 % (BELOW=95)
	@$(MAKE) VARIANT=coverage CC=clang fuzzers
	@scripts/fuzz coverage build/coverage '$(ONLY)' $(or $(BELOW),95)

SEEDS ?= 1000
FIRST ?= 1
.PHONY: sim
sim: build/covet-sim ## Simulate the kernel with SEEDS=1000 seeds from FIRST=1 on (VARIANT=asan: under sanitizers)
	@$(B)/covet-sim --seeds $(SEEDS) --first $(FIRST)
# The variant built last: `build/covet-sim --seed N` runs one seed again.
build/covet-sim: $(B)/covet-sim FORCE
	@[ "$$(readlink $@)" = $(VARIANT)/covet-sim ] || ln -sfn $(VARIANT)/covet-sim $@

.PHONY: torture
torture: $(B)/covet-torture ## Fail every allocation and kernel call once, in every scenario (TRIES=2: of each stack; VARIANT=asan)
	@$(B)/covet-torture $(if $(TRIES),--tries $(TRIES))

MINUTES ?= 60
.PHONY: soak
soak: $(B)/covet $(B)/covet-load $(B)/limit $(profiler) ## Traffic and chaos for MINUTES=60, every answer checked (SOAK='--seed N')
	@python3 tests/soak/run.py --covet $(B)/covet --minutes $(MINUTES) $(SOAK)

.PHONY: mutants
mutants: ## Plant known bugs one by one: the simulator must find each within 1,000 seeds (ONLY=word)
	@scripts/mutants --only '$(ONLY)'

.PHONY: figures
figures: $(B)/covet $(B)/covet-load $(B)/limit ## Reliability figures of the real program against their goals, 15 minutes (ONLY=word FIGURES='--short --json')
	@python3 tests/reliability/run.py --covet $(B)/covet --only '$(ONLY)' $(FIGURES)

##@ Measure
.PHONY: bench compare perf perf-smoke perf-diff
bench: $(B)/bench ## Micro-benchmarks beside packaged peers and floors (ONLY=word BATCHES=400; scripts/install-deps --perf)
	@mkdir -p build/bench
	@$(B)/bench '$(ONLY)' build/bench/bench.json $(BATCHES)
perf: all ## Covet beside the limit and its peers in every scenario, 12 minutes: build/perf/report.html (PERF=options)
	@perf/compare --output build/perf $(PERF)
perf-smoke: all ## The same, so short that it tells only whether everything works
	@perf/compare --smoke --output build/perf/smoke
perf-diff: ## What differs between two reports: BASE=report.json (NEW=build/perf/report.json)
	@[ -n '$(BASE)' ] || { echo 'perf-diff: BASE=report.json is missing' >&2; exit 64; }
	@perf/diff '$(BASE)' '$(or $(NEW),build/perf/report.json)'
compare: all ## Covet beside whom you like, in turns (COMPARE=options of perf/compare)
	@perf/compare $(COMPARE)

##@ Check
.PHONY: check lint format format-check
check: ## Layers, code map, headers that compile alone, house rules
	@python3 scripts/check_layers.py
	@python3 scripts/tidy.py
lint: ## A warning-free clang build, clang-tidy, shellcheck (scripts/install-deps --dev)
	@$(MAKE) VARIANT=clang CC=clang WERROR=1 all test-programs build/clang/compile_commands.json
	@scripts/lint build/clang/compile_commands.json
c_files := $(sort $(sources) $(headers) $(bpf_sources) $(wildcard tests/*/*.[ch] tests/*/*/*.[ch] examples/*.h tools/*/*.h perf/*.h perf/*/*.h))
format: ## Rewrite all C in the house style (clang-format)
	@clang-format -i $(c_files)
format-check: ## Fail when `make format` would change something
	@clang-format --dry-run -Werror $(c_files) && echo "format: $(words $(c_files)) files in house style"

##@ Install and more
include_dir := $(DESTDIR)$(PREFIX)/include
lib_dir := $(DESTDIR)$(PREFIX)/lib
.PHONY: install
install: program $(addprefix $(B)/covet-,$(tools)) $(profiler) ## Install below PREFIX (/usr/local), with DESTDIR in front for packages
	install -d $(DESTDIR)$(PREFIX)/bin $(lib_dir)/pkgconfig $(include_dir)/covet
	install -m 755 $(B)/covet $(DESTDIR)$(PREFIX)/bin/covet
	install -m 644 $(B)/libcovet.a $(lib_dir)/libcovet.a
	install -m 755 $(B)/libcovet.so.$(SOVERSION) $(lib_dir)/libcovet.so.$(SOVERSION)
	ln -sfn libcovet.so.$(SOVERSION) $(lib_dir)/libcovet.so
	install -m 644 $(wildcard include/*.h) $(include_dir)
	install -m 644 $(wildcard include/covet/*.h) $(include_dir)/covet
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' covet.pc.in \
		>$(lib_dir)/pkgconfig/covet.pc
	install -d $(lib_dir)/systemd/system
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' scripts/covet.service \
		>$(lib_dir)/systemd/system/covet.service
	install -d $(DESTDIR)$(PREFIX)/share/covet/tune
	install -m 755 scripts/covet-tune $(DESTDIR)$(PREFIX)/bin/covet-tune
	install -m 644 $(wildcard scripts/tune/*.py scripts/tune/*.tune) $(DESTDIR)$(PREFIX)/share/covet/tune
	install -m 644 examples/container/seccomp-covet.json $(DESTDIR)$(PREFIX)/share/covet
	install -m 755 $(addprefix $(B)/covet-,$(tools)) $(profiler) $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(wildcard docs/*.1) $(DESTDIR)$(PREFIX)/share/man/man1

.PHONY: dist
dist: ## The committed tree as build/covet-VERSION.tar.gz
	@mkdir -p build
	git archive --prefix=covet-$(VERSION)/ -o build/covet-$(VERSION).tar.gz HEAD

# Always rewritten when asked for: it lists the files that are there now. `file` expands each line.
comma := ,
entry = {"directory": "$(CURDIR)", "file": "$1", "command": "$(subst ",\",$(call compile,$1,$(call objects_of,$1)))"}
define newline


endef
.PHONY: compile_commands.json $(B)/compile_commands.json
compile_commands.json: $(B)/compile_commands.json ## How each file is compiled, for editors and clang-tidy
	@ln -sfn $< $@
$(B)/compile_commands.json: private includes = -Isrc -Iinclude -Itests -Itools -iquote . -I$(B)/gen
$(B)/compile_commands.json: | $(B)/flags.txt
	@: $(file >$@,[$(foreach source,$(sources),$(if $(filter-out $(firstword $(sources)),$(source)),$(comma))$(newline)$(call entry,$(source)))$(newline)])

.PHONY: clean
clean: ## Remove everything make made
	rm -rf build covet compile_commands.json

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile
