"""covet-tune: every path on a tree of plain files; the kernel's own settings in a network namespace."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from harness import Skip, limit_s, measured, needs_root, network, procfs

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts")
PROGRAM = os.path.join(SCRIPTS, "covet-tune")
TUNE = [sys.executable, PROGRAM]  # No wrapper between: tests kill it.
sys.dont_write_bytecode = True
sys.path.insert(0, SCRIPTS)

from tune import bench, table, values  # noqa: E402

OK, FAILED, DIFFERENT, USAGE, NO_RIGHTS = 0, 1, 2, 64, 77

IPV4, CORE = "/proc/sys/net/ipv4/", "/proc/sys/net/core/"
SOMAXCONN, SYN_BACKLOG = CORE + "somaxconn", IPV4 + "tcp_max_syn_backlog"
SLOW_START, MIGRATE = IPV4 + "tcp_slow_start_after_idle", IPV4 + "tcp_migrate_req"
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
POLICY = "/sys/devices/system/cpu/cpufreq/policy{}/scaling_governor"
SLICE = "/sys/fs/cgroup/covet.slice/"
NIC = "/sys/class/net/eth0/"
JOURNAL = "/run/covet-tune/journal"
# As drivers name them: one that is no queue's, four that are, one of another device.
INTERRUPTS = """            CPU0       CPU1       CPU2       CPU3
  40:          1          0          0          0  PCI-MSIX-0000:00:03.0   0-edge      eth0-config
  41:       1000          0          0          0  PCI-MSIX-0000:00:03.0   1-edge      eth0-TxRx-0
  42:          0       1000          0          0  PCI-MSIX-0000:00:03.0   2-edge      eth0-TxRx-1
  43:          0          0       1000          0  PCI-MSIX-0000:00:03.0   3-edge      mlx5_comp2@pci:00:03
  44:          0          0          0       1000  PCI-MSIX-0000:00:03.0   4-edge      virtio2-input.3
  50:          0          0          0          7  PCI-MSIX-0000:00:04.0   0-edge      nvme0q3
 LOC:    8119128    7318714          0          0   Local timer interrupts
"""


def tune(*arguments, status=OK):
    """Runs it; gives standard output and error as one text. `status` None: however it ends."""
    done = subprocess.run([*TUNE, *arguments], capture_output=True, text=True, timeout=60)
    assert status in (None, done.returncode), (
        f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}"
    )
    return done.stdout + done.stderr


class Tree:
    """A machine of four cores and a NIC of four queues, as files; cores 0 and 1 run workers."""

    def __init__(self, env, **changes):
        self.root = env.path("root")
        files = {
            "/sys/devices/system/cpu/online": "0-3",
            "/proc/sys/kernel/random/boot_id": "boot-1",
            "/proc/cmdline": "quiet",
            SOMAXCONN: "128", SYN_BACKLOG: "128", SLOW_START: "1", MIGRATE: "0", CORE + "dev_weight": "64",
            HUGE_PAGES: "always madvise [never]",
            **{POLICY.format(cpu): "schedutil" for cpu in range(4)},
            "/proc/interrupts": INTERRUPTS, NIC + "type": "1", NIC + "device/driver": "x",
            **{f"{NIC}device/msi_irqs/{irq}": "msix" for irq in range(40, 45)},
            **{f"/proc/irq/{irq}/smp_affinity_list": "0-3" for irq in (*range(40, 45), 50)},
            **{f"{NIC}queues/tx-{queue}/xps_cpus": "00000000" for queue in range(4)},
            "/proc/irq/default_smp_affinity": "f",
            "/proc/100/comm": "covet", "/proc/100/limits": "Max open files   1024   4096   files",
            "/proc/100/task/101/comm": "covet-w0", "/proc/100/task/101/status": "Cpus_allowed_list:\t0",
            "/proc/100/task/102/comm": "covet-w1", "/proc/100/task/102/status": "Cpus_allowed_list:\t1",
            "/sys/class/net/lo/type": "772",
            **changes,
        }
        for path, text in files.items():
            if text is not None:
                self.write(path, text)

    def at(self, path):
        return self.root + path

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "w") as file:
            file.write(text + "\n")

    def read(self, path):
        return procfs.read(self.at(path)).strip()

    def state(self):
        """Every file's text but the journal's."""
        return {path: procfs.read(path) for folder, _, names in os.walk(self.root)
                if "covet-tune" not in folder for path in [os.path.join(folder, name) for name in names]}

    def tune(self, *arguments, status=OK):
        return tune(*arguments, "--root", self.root, status=status)

    def journalled(self):
        """The paths whose old values are kept."""
        text = self.read(JOURNAL)
        return [entry["path"] for entry in json.loads(text)["entries"]] if text else []

    def outcomes(self, *arguments, status=OK):
        """{path: outcome}."""
        report = json.loads(self.tune(*arguments, "--json", status=status))
        return {outcome["path"]: outcome for outcome in report["outcomes"]}

    def states(self, *arguments, status=OK):
        return {path: outcome["state"] for path, outcome in self.outcomes(*arguments, status=status).items()}


def steps(*paths):
    return [word for path in paths for word in ("--step", path)]


# Values

def test_a_wanted_value_changes_only_what_it_must(env):
    for wanted, current, target in [
        ("4096", "128", "4096"), ("4096", "4096", "4096"),
        (">=4096", "128", "4096"), (">=4096", "65535", "65535"), ("<=10240", "32768", "10240"),
        ("<=10240", "1024", "1024"), (">=4096", "max", "max"), (">=4096", "unlimited", "unlimited"),
        ("* * >=16777216", "4096 131072 6291456", "4096 131072 16777216"),
        ("* * >=16777216", "4096 131072 33554432", "4096 131072 33554432"),
        ("<=10240 >=65535", "32768 60999", "10240 65535"), ("<=10240 >=65535", "1024 65535", "1024 65535"),
        ("madvise/always", "never", "madvise"), ("madvise/always", "always", "always"),
        ("list 0-2,5", "0-3", "0-2,5"), ("list 2", "2", "2"), ("list 0,1,2", "0-2", "0-2"),
        ("mask 1", "00000000,00000000", "2"), ("mask 0-1", "3", "3"), ("mask 33", "0", "2,00000000"),
        ("4096 8192", "1", "4096 8192"),
    ]:
        want = values.Want(wanted)
        assert want.target(values.plain(current, want.kind)) == target, (wanted, current)


def test_a_set_of_cores_reads_the_same_however_it_is_written(env):
    for text, cores in [("0", {0}), ("0-2,7", {0, 1, 2, 7}), ("", set()), ("3,1-2", {1, 2, 3})]:
        assert values.parse_cpus(text) == cores
        assert values.parse_cpus(values.format_cpus(cores)) == cores
    for text, cores in [("0", set()), ("f", {0, 1, 2, 3}), ("1,00000000", {32}), ("1,0", {32}),
                        ("80000000,00000001", {0, 63})]:
        assert values.parse_mask(text) == cores, text
        assert values.parse_mask(values.format_mask(cores)) == cores
    assert values.plain("always [madvise] never") == "madvise"
    assert values.plain("4096\t131072\t33554432") == "4096 131072 33554432"


def test_every_table_reads_and_every_class_is_where_it_belongs(env):
    rows = table.everything()
    assert all(row.why and row.value for row in rows)
    assert all((row.kind == "never") == (row.profile == "never") for row in rows)
    for name in ("all", *table.PROFILES, "never"):
        paths = [row.path for row in table.read(name)]
        assert len(paths) == len(set(paths)), f"a path twice in {name}.tune"
    for profile in table.PROFILES:
        loaded = {row.path: row for row in table.load(profile)}
        assert all(loaded[row.path] == row for row in table.read(profile)), f"{profile} does not win over all"


# Plan

def test_a_plan_shows_changes_and_makes_none(env):
    tree = Tree(env)
    before = tree.state()
    outcomes = tree.outcomes("plan", status=DIFFERENT)
    one = outcomes[SOMAXCONN]
    assert (one["state"], one["current"], one["wanted"]) == ("change", "128", "4096"), one
    assert outcomes[HUGE_PAGES]["wanted"] == "madvise"
    text = tree.tune("plan", status=DIFFERENT)
    assert "~ " + SOMAXCONN in text and "128 -> 4096" in text and "# how many connections" in text, text
    assert "policy*/scaling_governor (4 files)" in text, "files alike are one line"
    assert tree.state() == before and not os.path.exists(tree.at("/run"))


def test_a_plan_with_nothing_to_do_ends_with_0(env):
    tree = Tree(env, **{SOMAXCONN: "4096"})
    assert tree.states("plan", *steps(SOMAXCONN)) == {SOMAXCONN: "ok"}
    tree.write(SOMAXCONN, "4095")
    assert tree.states("plan", *steps(SOMAXCONN), status=DIFFERENT) == {SOMAXCONN: "change"}


def test_a_value_that_is_higher_already_stays(env):
    tree = Tree(env, **{SOMAXCONN: "65535", IPV4 + "tcp_rmem": "4096\t131072\t33554432"})
    chosen = ["--profile", "throughput", *steps(SOMAXCONN, "tcp_rmem")]
    assert set(tree.states("apply", *chosen).values()) == {"ok"}
    assert tree.read(SOMAXCONN) == "65535" and tree.read(IPV4 + "tcp_rmem").endswith("33554432")


def test_what_is_absent_is_named_with_its_reason(env):
    tree = Tree(env, **{POLICY.format(cpu): None for cpu in range(4)}, **{MIGRATE: None})
    outcomes = tree.outcomes("plan", status=DIFFERENT)
    assert outcomes[MIGRATE]["state"] == "absent" and outcomes[MIGRATE]["note"] == "since Linux 5.14"
    assert "virtual machines" in outcomes[POLICY.format("*")]["note"]
    os.remove(tree.at(CORE + "dev_weight"))  # As in a network namespace of one's own.
    assert "namespace" in tree.outcomes("plan", status=DIFFERENT)[MIGRATE]["note"]
    assert SLICE + "cpuset.cpus" not in outcomes, "dedicated, and not asked for"


def test_a_file_that_says_nonsense_is_not_written(env):
    tree = Tree(env, **{SOMAXCONN: "many"})
    assert "cannot be read" in tree.tune("apply", *steps(SOMAXCONN))
    assert tree.read(SOMAXCONN) == "many"


def test_classes_and_profiles_choose_rows(env):
    tree = Tree(env, **{IPV4 + "tcp_notsent_lowat": "4294967295", "/proc/sys/fs/nr_open": "1024"})
    plain = tree.states("plan", status=DIFFERENT)
    assert IPV4 + "tcp_notsent_lowat" not in plain and "/proc/sys/fs/nr_open" not in plain
    chosen = tree.outcomes("plan", "--class", "do,workload", "--profile", "many-connections",
                           status=DIFFERENT)
    assert chosen[IPV4 + "tcp_notsent_lowat"]["wanted"] == "131072"
    assert chosen["/proc/sys/fs/nr_open"]["wanted"] == "1048576"
    assert chosen[SOMAXCONN]["wanted"] == "65535", "a profile's row replaces that of all"


def test_advice_is_given_and_never_taken(env):
    tree = Tree(env, **{"/proc/200/comm": "irqbalance", "/proc/200/environ": "PATH=/bin",
                        "/proc/sys/kernel/io_uring_disabled": "2"})
    outcomes = tree.outcomes("plan", status=DIFFERENT)
    assert outcomes["process:irqbalance"]["state"] == "advice"
    assert "BANNED_CPULIST=0-1" in outcomes["process:irqbalance"]["why"], "the workers' cores"
    assert "irqaffinity=2-3" in outcomes["boot:irqaffinity"]["why"], "the line to add to the kernel's"
    assert outcomes["limit:nofile"]["current"] == "4096" and "LimitNOFILE" in outcomes["limit:nofile"]["why"]
    tree.write("/proc/200/environ", "IRQBALANCE_BANNED_CPULIST=0-1")
    tree.write("/proc/cmdline", "quiet irqaffinity=2-3")
    tree.write("/proc/100/limits", "Max open files   1024   1048576   files")
    tree.tune("apply")
    assert tree.read("/proc/sys/kernel/io_uring_disabled") == "2"
    assert list(tree.outcomes("verify")).count("limit:nofile") == 0, "advice that was followed is silent"
    assert tree.outcomes("verify")["/proc/sys/kernel/io_uring_disabled"]["state"] == "advice"


# NIC, cores

def test_each_queue_is_put_on_a_workers_core(env):
    tree = Tree(env)
    tree.tune("apply")
    where = [tree.read(f"/proc/irq/{irq}/smp_affinity_list") for irq in (40, 41, 42, 43, 44, 50)]
    assert where == ["0-3", "0", "1", "0", "1", "0-3"], "queues in turn; no configuration, no other device"
    assert [tree.read(f"{NIC}queues/tx-{queue}/xps_cpus") for queue in range(4)] == ["1", "2", "1", "2"]
    tree.tune("revert")
    assert tree.read("/proc/irq/41/smp_affinity_list") == "0-3"


def test_fewer_queues_than_workers_are_shared(env):
    tree = Tree(env, **{f"{NIC}queues/tx-{queue}/xps_cpus": None for queue in (2, 3)})
    tree.tune("apply", "--cores", "0-3")
    assert [tree.read(f"{NIC}queues/tx-{queue}/xps_cpus") for queue in range(2)] == ["5", "a"]
    assert [tree.read(f"/proc/irq/{irq}/smp_affinity_list") for irq in range(41, 45)] == ["0", "1", "2", "3"]


def test_a_virtio_nic_has_its_interrupts_one_level_up(env):
    tree = Tree(env, **{f"{NIC}device/msi_irqs/{irq}": None for irq in range(40, 45)},
                **{f"/sys/devices/pci/msi_irqs/{irq}": "msix" for irq in range(40, 45)},
                **{"/sys/devices/pci/virtio2/driver": "x"})
    shutil.rmtree(tree.at(NIC + "device"))
    os.symlink("../../../devices/pci/virtio2", tree.at(NIC + "device"))
    tree.tune("apply")
    assert tree.read("/proc/irq/44/smp_affinity_list") == "1"


def test_cores_are_the_running_workers_unless_given(env):
    tree = Tree(env)
    assert json.loads(tree.tune("plan", "--json", status=DIFFERENT))["cores"] == [0, 1]
    assert json.loads(tree.tune("plan", "--json", "--cores", "2-3", status=DIFFERENT))["cores"] == [2, 3]
    shutil.rmtree(tree.at("/proc/100"))
    assert json.loads(tree.tune("plan", "--json", status=DIFFERENT))["cores"] == [0, 1, 2, 3]
    assert "no core 7 here (online: 0-3)" in tree.tune("plan", "--cores", "1,7", status=USAGE)
    chosen = ["--class", "dedicated", "--cores", "0-3"]
    assert "leave one out" in tree.outcomes("plan", *chosen)["/proc/irq/default_smp_affinity"]["note"]
    assert tree.outcomes("plan", *chosen[:2], "--cores", "0-2",
                         status=DIFFERENT)["/proc/irq/default_smp_affinity"]["wanted"] == "8"


def test_a_partition_takes_the_workers_cores_and_gives_them_back(env):
    tree = Tree(env, **{SLICE + "cpuset.cpus": "", SLICE + "cpuset.cpus.partition": "member"})
    chosen = steps("cpuset.cpus", "cpuset.cpus.partition")
    both = [SLICE + "cpuset.cpus", SLICE + "cpuset.cpus.partition"]
    assert list(tree.states("apply", *chosen).items()) == [(path, "set") for path in both]
    assert [tree.read(path) for path in both] == ["0-1", "isolated"]
    assert list(tree.states("revert").items()) == [(path, "restored") for path in both[::-1]], "last first"
    assert [tree.read(path) for path in both] == ["", "member"]


# Apply, verify, revert

def test_apply_verify_revert_restores_every_file(env):
    tree = Tree(env)
    before = tree.state()
    tree.tune("verify", status=DIFFERENT)
    text = tree.tune("apply", "--class", "do,dedicated", "--cores", "0-1")
    assert "> " + SOMAXCONN in text and "0 failed" in text, text
    assert tree.read(SOMAXCONN) == "4096" and tree.read(POLICY.format(3)) == "performance"
    assert tree.states("plan")[SOMAXCONN] == "ok"
    tree.tune("verify")
    assert set(tree.states("revert").values()) == {"restored"}
    after = tree.state()
    for path, text in before.items():
        # The tree keeps what was written: one word of three, where the kernel would show them all.
        kind = "mask" if path.endswith(("xps_cpus", "affinity")) else "words"
        assert values.same(after[path], text, kind), path
    assert tree.journalled() == []
    assert tree.states("revert") == {}, "a second one finds nothing to do"


def test_verify_asks_what_the_last_apply_wanted(env):
    tree = Tree(env, **{IPV4 + "tcp_max_tw_buckets": "16384"})
    tree.tune("apply", "--profile", "many-connections", "--class", "do", "--cores", "2")
    shutil.rmtree(tree.at("/proc/100"))  # The workers are gone; the cores that were meant are not.
    tree.tune("verify")
    tree.write(IPV4 + "tcp_max_tw_buckets", "100")
    assert tree.outcomes("verify", status=DIFFERENT)[IPV4 + "tcp_max_tw_buckets"]["state"] == "change"
    tree.write(SLOW_START, "1")
    assert tree.states("verify", *steps(SOMAXCONN)) == {SOMAXCONN: "ok"}, "unless it is asked something else"


def test_the_first_old_value_survives_a_second_apply(env):
    tree = Tree(env)
    tree.tune("apply", *steps(SOMAXCONN))
    tree.tune("apply", "--profile", "many-connections", *steps(SOMAXCONN))
    assert tree.read(SOMAXCONN) == "65535"
    tree.tune("revert")
    assert tree.read(SOMAXCONN) == "128"


def test_revert_leaves_alone_what_somebody_else_changed(env):
    tree = Tree(env)
    tree.tune("apply", *steps(SOMAXCONN, SYN_BACKLOG, SLOW_START))
    tree.write(SOMAXCONN, "9999")  # Not ours any more.
    tree.write(SYN_BACKLOG, "128")  # Back already.
    os.remove(tree.at(SLOW_START))  # A device that went, say.
    outcomes = tree.outcomes("revert", status=DIFFERENT)
    assert {path: outcome["state"] for path, outcome in outcomes.items()} == {
        SOMAXCONN: "left", SYN_BACKLOG: "already", SLOW_START: "gone"}
    assert "left alone" in outcomes[SOMAXCONN]["note"]
    assert tree.read(SOMAXCONN) == "9999" and tree.read(SYN_BACKLOG) == "128"
    assert not os.path.exists(tree.at(SLOW_START)), "nothing is ever created"
    assert tree.states("revert") == {}


def test_a_refused_write_is_told_and_the_rest_goes_on(env):
    tree = Tree(env, **{SOMAXCONN: None})
    os.symlink("/proc/sys/kernel/cap_last_cap", tree.at(SOMAXCONN))  # A number that nobody may change.
    outcomes = tree.outcomes("apply", *steps(SOMAXCONN, SLOW_START), status=FAILED)
    assert outcomes[SOMAXCONN]["state"] == "failed" and "not allowed" in outcomes[SOMAXCONN]["note"]
    assert outcomes[SLOW_START]["state"] == "set"
    assert tree.states("revert") == {SLOW_START: "restored"}, "what never changed is not in the journal"


def test_a_value_that_does_not_stick_is_told_and_put_back(env):
    tree = Tree(env, **{SOMAXCONN: None})
    os.symlink("/dev/null", tree.at(SOMAXCONN))  # Takes everything, keeps nothing.
    outcomes = tree.outcomes("apply", *steps(SOMAXCONN, SLOW_START), status=FAILED)
    assert outcomes[SOMAXCONN]["state"] == "failed" and "read back as ''" in outcomes[SOMAXCONN]["note"]
    assert outcomes[SLOW_START]["state"] == "set", "the rest goes on"
    assert tree.journalled() == [SLOW_START]


def stopped_in_the_middle(tree):
    """An apply that was killed between journal and file: its second file is a FIFO that nobody reads."""
    os.remove(tree.at(SYN_BACKLOG))
    os.mkfifo(tree.at(SYN_BACKLOG))
    child = subprocess.Popen([*TUNE, "apply", "--root", tree.root,
                              *steps(SOMAXCONN, SYN_BACKLOG, SLOW_START)])
    with open(tree.at(SYN_BACKLOG), "w") as fifo:  # Waits for the first reading, which must get a value.
        fifo.write("128\n")
    assert procfs.wait_for(lambda: SYN_BACKLOG in tree.journalled(), 10)
    child.kill()
    child.wait()
    os.remove(tree.at(SYN_BACKLOG))
    return tree


def test_a_crash_in_the_middle_loses_no_old_value(env):
    tree = stopped_in_the_middle(Tree(env))
    tree.write(SYN_BACKLOG, "128")  # As the kernel has it: the write never came.
    # One was written, one announced, one not reached.
    assert (tree.read(SOMAXCONN), tree.read(SLOW_START)) == ("4096", "1")
    states = tree.states("revert")
    assert states == {SYN_BACKLOG: "already", SOMAXCONN: "restored"}, states
    assert tree.read(SOMAXCONN) == "128"


def test_after_a_crash_apply_goes_on_and_revert_knows_the_first_values(env):
    tree = stopped_in_the_middle(Tree(env))
    tree.write(SYN_BACKLOG, "4096")  # The write came, its reading back did not.
    tree.tune("apply", *steps(SOMAXCONN, SYN_BACKLOG, SLOW_START))
    tree.tune("revert")
    assert (tree.read(SOMAXCONN), tree.read(SYN_BACKLOG), tree.read(SLOW_START)) == ("128", "128", "1")


def test_a_journal_of_an_earlier_boot_says_nothing(env):
    tree = Tree(env)
    tree.tune("apply", *steps(SOMAXCONN))
    tree.write("/proc/sys/kernel/random/boot_id", "boot-2")
    assert tree.states("revert") == {}
    assert tree.read(SOMAXCONN) == "4096"


def test_a_damaged_journal_is_not_written_over(env):
    tree = Tree(env)
    tree.write(JOURNAL, '{"entries": [')
    for verb in ("plan", "apply", "revert"):
        assert "is damaged" in tree.tune(verb, status=FAILED)
    assert tree.read(JOURNAL) == '{"entries": [' and tree.read(SOMAXCONN) == "128"


# apply --for

def test_a_trial_goes_back_by_itself(env):
    tree = Tree(env)
    started = time.monotonic()
    assert "unless: covet-tune confirm" in tree.tune("apply", "--for", "8s", *steps(SOMAXCONN))
    seen = tree.tune("plan", *steps(SOMAXCONN), status=None)
    # One that takes as long as the trial may find it over.
    measured(time.monotonic() - started < 8, "apply and plan take 8 s")
    assert "on trial until" in seen, seen
    assert procfs.wait_for(lambda: tree.read(SOMAXCONN) == "128", 10)
    assert time.monotonic() - started > 8
    seen = tree.tune("plan", *steps(SOMAXCONN), status=DIFFERENT)
    assert "nobody confirmed within 8 s: 1 of 1 settings restored" in seen, seen
    assert "nothing to confirm: nobody confirmed within 8 s" in tree.tune("confirm", status=FAILED)


def test_a_confirmed_trial_stays(env):
    tree = Tree(env)
    tree.tune("apply", "--for", "60s", *steps(SOMAXCONN))
    assert "trial is under way" in tree.tune("apply", *steps(SLOW_START), status=FAILED)
    assert tree.tune("confirm").startswith("kept;")
    assert procfs.wait_for(lambda: not guards(tree), 10), "a guard with nothing to guard ends at once"
    assert tree.read(SOMAXCONN) == "4096"
    said = tree.tune("apply", "--for", "9s", *steps(SLOW_START), status=FAILED)
    assert "take back earlier changes too" in said
    tree.tune("revert")
    assert tree.read(SOMAXCONN) == "128"


def guards(tree):
    """Processes of covet-tune on that tree."""
    return [int(pid) for pid in os.listdir("/proc")
            if pid.isdigit() and tree.root in procfs.read(f"/proc/{pid}/cmdline")]


def test_a_trial_that_is_reverted_leaves_no_guard(env):
    tree = Tree(env)
    tree.tune("apply", "--for", "20s", *steps(SOMAXCONN))
    assert tree.states("revert") == {SOMAXCONN: "restored"}
    assert procfs.wait_for(lambda: not guards(tree), 3)
    tree.write(SOMAXCONN, "4096")
    assert "0 set" in tree.tune("apply", "--for", "20s", *steps(SOMAXCONN))
    assert procfs.wait_for(lambda: not guards(tree), 3), "nothing was changed, so nothing is guarded"


def test_a_guard_undoes_an_apply_that_was_killed(env):
    tree = Tree(env)
    os.remove(tree.at(SYN_BACKLOG))
    os.mkfifo(tree.at(SYN_BACKLOG))
    child = subprocess.Popen([*TUNE, "apply", "--for", "2s", "--root", tree.root,
                              *steps(SOMAXCONN, SYN_BACKLOG)])
    assert procfs.wait_for(lambda: tree.read(SOMAXCONN) == "4096", 5)
    child.kill()
    child.wait()
    os.remove(tree.at(SYN_BACKLOG))
    assert procfs.wait_for(lambda: tree.read(SOMAXCONN) == "128", 5)


def test_a_guard_that_was_killed_is_missed(env):
    tree = Tree(env)
    tree.tune("apply", "--for", "20s", *steps(SOMAXCONN))
    (guard,) = guards(tree)
    os.kill(guard, signal.SIGKILL)
    assert procfs.wait_for(lambda: not guards(tree), 3)
    assert "lost its guard" in tree.tune("plan", *steps(SOMAXCONN))
    assert "guard was gone" in tree.tune("confirm")


def test_only_one_covet_tune_writes_at_a_time(env):
    tree = Tree(env)
    os.remove(tree.at(SOMAXCONN))
    os.mkfifo(tree.at(SOMAXCONN))
    first = subprocess.Popen([*TUNE, "apply", "--root", tree.root, *steps(SOMAXCONN)])
    assert procfs.wait_for(lambda: os.path.exists(tree.at("/run/covet-tune/lock")), 5)
    assert procfs.wait_for(lambda: "at work" in subprocess.run(
        [*TUNE, "revert", "--root", tree.root], capture_output=True, text=True, timeout=60).stderr, 5)
    first.kill()
    first.wait()


# Myths

def test_a_myth_is_refused_with_its_reason(env):
    tree = Tree(env, **{IPV4 + "tcp_timestamps": "1"})
    for name, words in [
        ("tcp_tw_recycle", "removed in Linux 4.12"), ("tcp_low_latency", "without effect"),
        ("tcp_timestamps", "round-trip"), ("net.core.busy_poll", "spin"), ("isolcpus", "partition"),
        ("nohz_full", "entry to the kernel"), ("mitigations", "price"), ("vm.drop_caches", "throws"),
        ("SCHED_FIFO", "ksoftirqd"), ("tcp_mem", "pages"),
    ]:
        assert f"{name} is refused: " in (said := tree.tune("apply", "--step", name, status=USAGE)), said
        assert words in said and words in tree.tune("explain", name), name
    assert tree.read(IPV4 + "tcp_timestamps") == "1"
    assert "never means never" in tree.tune("apply", "--class", "never", status=USAGE)


def test_a_myth_in_force_is_pointed_out(env):
    tree = Tree(env, **{IPV4 + "tcp_timestamps": "0", IPV4 + "tcp_sack": "1", CORE + "busy_poll": "50",
                        "/proc/cmdline": "quiet isolcpus=0-1 mitigations=off"})
    before = tree.state()
    harmful = {path for path, state in tree.states("plan", status=DIFFERENT).items() if state == "harmful"}
    expected = {IPV4 + "tcp_timestamps", CORE + "busy_poll", "boot:isolcpus", "boot:mitigations=off"}
    assert harmful == expected, harmful
    assert tree.state() == before
    assert "in force here: 0" in tree.tune("explain", "tcp_timestamps")


def test_the_price_of_mitigations_is_what_is_in_force(env):
    tree = Tree(env, **{"/sys/devices/system/cpu/vulnerabilities/spectre_v2": "Mitigation: Retpolines",
                        "/sys/devices/system/cpu/vulnerabilities/meltdown": "Not affected"})
    text = tree.tune("explain", "mitigations=off")
    assert "paid for here: spectre_v2: Mitigation: Retpolines" in text and "meltdown" not in text


# Command line

def test_explain_tells_why_what_and_where(env):
    tree = Tree(env)
    text = tree.tune("explain", "somaxconn")
    assert "(do)" in text and "--profile many-connections" in text and "is 128, would be 4096" in text, text
    assert "is it tcp_tw_recycle" in tree.tune("explain", "tcp_tw_recyle", status=USAGE)
    assert json.loads(tree.tune("explain", "somaxconn", "--json"))["rows"][0]["kind"] == "do"
    assert "absent" in tree.tune("explain", "nr_open")


def test_wrong_command_lines_end_with_64_and_say_why(env):
    tree = Tree(env)
    for arguments, words in [
        (["tune"], "invalid choice"), ([], "required"), (["plan", "somaxconn"], "what is 'somaxconn'"),
        (["explain"], "needs a NAME"), (["plan", "--class", "all"], "no class 'all'"),
        (["apply", "--for", "soon"], "no time"), (["apply", "--for", "0s"], "no time"),
        (["revert", "--for", "5s"], "--for"), (["plan", "--programs", "."], "--programs"),
        (["plan", "--profile", "speed"], "invalid choice"), (["plan", "--cores", "a"], "no list of cores"),
        (["plan", "--step", "nr_open"], "but in --profile many-connections"),
        (["plan", "--step", "x.y"], "no setting"), (["plan", "--class", "never"], "never means never"),
    ]:
        assert words in tree.tune(*arguments, status=USAGE), arguments


@needs_root
def test_without_rights_it_says_so(env):
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *TUNE,
                           "apply", "--step", "somaxconn"], capture_output=True, text=True, timeout=60)
    if "setpriv" in done.stderr or "open file" in done.stderr:
        raise Skip(done.stderr.strip())
    assert done.returncode == NO_RIGHTS and "needs root" in done.stderr, done


# The kernel's own settings

def own_namespaces(env):
    """A network namespace, and a /run in a mount namespace: nothing outside is touched."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(network.CLONE_NEWNET | 0x00020000) != 0:
        raise Skip(f"no namespaces: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)


def settings():
    return {os.path.join(folder, name): procfs.read(os.path.join(folder, name))
            for folder, _, names in os.walk("/proc/sys/net") for name in names}


NET_STEPS = steps(SOMAXCONN, SYN_BACKLOG, SLOW_START, MIGRATE, "tcp_notsent_lowat", "tcp_max_tw_buckets",
                  "ip_local_port_range", "tcp_tw_reuse")


@needs_root
def test_apply_and_revert_in_a_network_namespace_restore_every_value(env):
    own_namespaces(env)
    with open(SOMAXCONN, "w") as file:
        file.write("128")
    before = settings()
    text = tune("apply", "--profile", "many-connections", *NET_STEPS)
    assert " 0 failed" in text, text
    changed = {path for path, value in settings().items() if value != before[path]}
    assert {SOMAXCONN, SLOW_START, MIGRATE, IPV4 + "ip_local_port_range"} <= changed, changed
    assert procfs.read(SOMAXCONN).strip() == "65535"
    assert procfs.read(IPV4 + "ip_local_port_range").split() == ["10240", "65535"]
    tune("verify")
    assert "0 left alone, 0 failed" in tune("revert")
    after = settings()
    assert {path for path in before if before[path] != after[path]} == set()


@needs_root
def test_what_was_set_in_another_namespace_is_left_to_it(env):
    own_namespaces(env)
    inside = ["unshare", "-n", "sh", "-c", f"{PROGRAM} apply --step tcp_migrate_req && sleep 20"]
    holder = subprocess.Popen(inside, stdout=subprocess.DEVNULL)
    try:
        assert procfs.wait_for(lambda: MIGRATE in procfs.read("/run/covet-tune/journal"), 10)
        time.sleep(0.3)
        before = procfs.read(MIGRATE)
        assert "revert there" in tune("revert", status=DIFFERENT)
        assert procfs.read(MIGRATE) == before
    finally:
        for child in [*procfs.children(holder.pid), holder.pid]:
            os.kill(child, signal.SIGKILL)
        holder.wait()
    # The kernel takes a namespace away when it has time to.
    assert procfs.wait_for(lambda: "now gone" in tune("revert", status=None), 5)


# Bench

def test_an_interval_needs_eight_ratios_and_keeps_its_ranks(env):
    assert bench.interval([1.0] * 7)["low"] is None, "2 * 0.5 ** 7 is more than 1 %"
    assert bench.interval([8, 1, 7, 2, 6, 3, 5, 4]) == {"median": 4.5, "low": 1, "high": 8}
    assert bench.interval(list(range(20, 0, -1))) == {"median": 10.5, "low": 4, "high": 17}


def test_a_verdict_is_plain(env):
    nothing, better = ({"median": 0.9, "low": 0.85, "high": high} for high in (1.01, 0.95))
    expected = "shows nothing here; 15% would have been seen"
    assert bench.verdict({"cpu_ns": nothing, "p99_us": nothing}) == expected
    assert bench.verdict({"cpu_ns": better, "p99_us": nothing}) == "CPU per request 10.0% less"
    assert bench.verdict({"requests_per_s": better}) == "requests/s 10.0% fewer"
    assert bench.verdict({"cpu_ns": {"median": 0.5, "low": None, "high": None}}).startswith("too few rounds")
    assert bench.verdict({}) == "nothing was answered"


def bench_command(env, tree):
    return [*TUNE, "bench", "--programs", os.path.dirname(env.covet), "--root", tree.root, *steps(SOMAXCONN)]


@limit_s(60)
def test_bench_measures_in_turns_and_puts_everything_back(env):
    tree = Tree(env, **{"/sys/devices/system/cpu/online": "0"})
    shutil.rmtree(tree.at("/proc/100"))
    before = tree.state()
    done = subprocess.run([*bench_command(env, tree), "--for", "500ms", "--json"],
                          capture_output=True, text=True, timeout=50)
    assert done.returncode == OK, done
    results = json.loads(done.stdout)["results"]
    assert [result["step"] for result in results] == [bench.CONTROL, SOMAXCONN], results
    for result in results:
        assert result["rounds"] >= 1 and result["figures"]["requests_per_s"]["median"] > 0, result
    assert {path: text for path, text in tree.state().items()} == before


@limit_s(60)
def test_bench_that_is_ended_takes_its_setting_back(env):
    tree = Tree(env, **{"/sys/devices/system/cpu/online": "0"})
    shutil.rmtree(tree.at("/proc/100"))
    child = subprocess.Popen([*bench_command(env, tree), "--for", "2s"], stdout=subprocess.DEVNULL)
    assert procfs.wait_for(lambda: tree.read(SOMAXCONN) == "4096", 20)
    child.terminate()
    child.wait(20)
    assert tree.read(SOMAXCONN) == "128"
