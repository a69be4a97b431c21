"""covet-prof flame: whose functions are on the picture, that nothing is lost on the way, and what is
said when there is no picture."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree as xml

from harness import Skip, limit_s, measured, needs_root, procfs, profile
from harness.load import Load
from harness.server import Server

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
SAMPLES_MIN = 40  # to judge shares by
SVG = "{http://www.w3.org/2000/svg}"
REPORT = re.compile(r": (\d+) (samples|sleeps) in ([\d.]+) s, (\d+) lost, (\d+) incomplete; cost: ")
# In the page: zooms, searches, walks and goes back, then leaves what it saw for the test to read.
PROBE = """<script><![CDATA[
const seen = [];
const frames = [...document.querySelectorAll(".frame")];
const named = (name) => frames.find((one) => one.querySelector("title").textContent.startsWith(`${name}\\n`));
const shown = () => frames.filter((one) => one.style.display !== "none").length;
const input = document.querySelector("input");
const spin = named("spin_here");
seen.push(shown() === frames.length);
spin.dispatchEvent(new MouseEvent("click"));
seen.push(shown() < frames.length, +spin.querySelector("rect").getAttribute("width") === 1180);
input.value = "^SPIN_";
input.dispatchEvent(new Event("input"));
seen.push(spin.classList.contains("hit"), /^found: \\d/.test(document.querySelector(".found").textContent));
spin.focus();
spin.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
seen.push(document.activeElement === named("with_buffer"));
document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
seen.push(shown() === frames.length, document.querySelectorAll(".hit").length === 0);
document.documentElement.dataset.seen = seen.join();
]]></script></svg>"""


@contextlib.contextmanager
def spinning(env, *options, **more):
    """A covet whose handler takes its time in a function we know."""
    library = env.path("spin.so")
    source = os.path.join(ROOT, "tests/integration/modules/spin.c")
    include = "-I" + os.path.join(ROOT, "include")
    if not shutil.which("gcc"):
        raise Skip("no gcc")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", include, "-o", library, source], check=True)
    os.chmod(library, 0o755)
    with Server(env, "--profile", "off", "--module", library, *options, **more) as server:
        yield server


def flame(env, pid, *options, seconds=1.0, before=()):
    """Runs it to its end: (exit status, stderr)."""
    command = [*before, profile.program(env), "flame", "-p", str(pid), "-d", str(seconds)]
    done = subprocess.run(
        [*command, "-o", env.path("flame.svg"), "--folded", env.path("folded"), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


def flame_busy(env, pid):
    """The same of a server under load, longer where the machine has little time for it."""
    for seconds in (1, 2, 4):
        code, stderr = flame(env, pid, seconds=seconds)
        assert code == 0 or "no samples" in stderr, (code, stderr)
        if code == 0 and int(REPORT.search(stderr).group(1)) >= SAMPLES_MIN:
            return stderr
    raise Skip("the machine is too busy: " + stderr)


def picture(env, stderr):
    """What was written, checked against itself: {stack: weight}, with the XML tree of the picture."""
    report = REPORT.search(stderr)
    assert report, stderr
    with open(env.path("folded")) as file:
        stacks = dict((line.rsplit(" ", 1)[0], int(line.rsplit(" ", 1)[1])) for line in file)
    tree = xml.parse(env.path("flame.svg")).getroot()
    frames = [group for group in tree.iter(SVG + "g") if group.get("class") == "frame"]
    assert int(frames[0].get("data-n")) == sum(stacks.values()), (frames[0].attrib, stderr)
    if report.group(2) == "samples":
        assert sum(stacks.values()) == int(report.group(1)), stderr
    assert report.group(4) == "0", f"lost: {stderr}"
    assert int(report.group(5)) <= int(report.group(1)) // 50, f"incomplete: {stderr}"
    return stacks, tree


def weight(stacks, *names):
    """Of the stacks that have all these functions, in this order."""
    pattern = re.compile(";(?:.*;)?".join(re.escape(name) for name in names) + "(;|$)")
    return sum(count for stack, count in stacks.items() if pattern.search(stack))


def kernel_names_are_hidden():
    with open("/proc/kallsyms") as file:
        return file.readline().startswith("0000000000000000")


def programs(pid):
    """The numbers of the programs that a process has loaded."""
    held = (procfs.read(f"/proc/{pid}/fdinfo/{fd}") for fd in os.listdir(f"/proc/{pid}/fdinfo"))
    return {found.group(1) for info in held if (found := re.search(r"^prog_id:\s+(\d+)", info, re.M))}


@needs_root
def test_hot_function_of_a_module_takes_most_samples(env):
    profile.program(env)
    with spinning(env) as server, Load(server.address, threads=4):
        stacks, tree = picture(env, flame_busy(env, server.pid))
    total = sum(stacks.values())
    path = ("covet-w0", "cv_worker_turn", "answer_late", "with_buffer", "spin_here")
    assert weight(stacks, *path) > 0.6 * total, stacks
    titles = "\n".join(title.text for title in tree.iter(SVG + "title"))
    assert "spin_here\n(module)" in titles and "cv_worker_turn\n(server)" in titles, titles


@needs_root
def test_server_liburing_and_kernel_are_named(env):
    profile.program(env)
    with Server(env, "--profile", "off") as server, Load(server.address, threads=4):
        stacks, tree = picture(env, flame_busy(env, server.pid))
    titles = "\n".join(title.text for title in tree.iter(SVG + "title"))
    for origin in ("thread", "server", "liburing", "kernel"):
        assert f"\n({origin}) " in titles, (origin, titles)
    kernel = "[kernel]_[k]" if kernel_names_are_hidden() else "__do_sys_io_uring_enter_[k]"
    assert weight(stacks, "covet-w0", "cv_worker_turn", kernel) > 0.3 * sum(stacks.values()), stacks
    texts = " ".join("".join(text.itertext()) for text in tree.iter(SVG + "text"))
    assert re.search(r"Running: .*covet --listen .* process \d+, .* lost", texts), texts[:300]


@needs_root
def test_idle_server_waits_in_io_uring_enter(env):
    profile.program(env)
    with Server(env, "--profile", "off") as server:
        time.sleep(0.3)
        code, stderr = flame(env, server.pid, "--off-cpu")
        assert code == 0, stderr
        stacks, _ = picture(env, stderr)
        # The sleep was there before and goes on after: it is all of the second, in microseconds.
        kernel = "[kernel]_[k]" if kernel_names_are_hidden() else "__do_sys_io_uring_enter_[k]"
        measured(900_000 < weight(stacks, "covet-w0", "cv_worker_turn", kernel) < 1_600_000, stacks)
        code, stderr = flame(env, server.pid, seconds=0.3)
        # What of its start-up is left may be seen once.
        measured(code == 1 and "no samples: the server was idle" in stderr, (code, stderr))


@needs_root
def test_wanted_workers_alone(env):
    profile.program(env)
    with Server(env, "--profile", "off", cores="0-1") as server:
        code, stderr = flame(env, server.server_pid, "--off-cpu", "-w", "1", seconds=0.3)
        assert code == 0, stderr
        stacks, _ = picture(env, stderr)
        assert {stack.split(";")[0] for stack in stacks} == {"covet-w1"}, stacks


@needs_root
def test_server_in_a_pid_namespace(env):
    profile.program(env)
    if not shutil.which("unshare"):
        raise Skip("no unshare")
    # As containers do, it gets a /run of its own: covets clear away what they see no process for.
    how = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
    how += ['mount -t tmpfs none /run && exec "$@"', "sh"]
    port = env.free_port()
    command = [*how, env.covet, "--profile", "off", "--cores", "0", "--listen", f"127.0.0.1:{port}"]
    with open(env.path("inner.log"), "wb") as log:
        outer = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        assert procfs.wait_for(lambda: workers_below(outer.pid), 5 * env.slack), "no worker comes up"
        time.sleep(0.5)
        code, stderr = flame(env, workers_below(outer.pid)[0], "--off-cpu", seconds=0.5)
        assert code == 0, stderr
        stacks, _ = picture(env, stderr)
        assert weight(stacks, "covet-w0", "cv_worker_turn") > 100_000, stacks
    finally:
        outer.send_signal(signal.SIGKILL)
        outer.wait()


def workers_below(pid):
    """The processes below this one that have a worker."""
    children = procfs.children(pid)
    found = [pid for pid in children if "covet-w0" in [procfs.name(pid, task) for task in procfs.tasks(pid)]]
    return found + [deeper for child in children for deeper in workers_below(child)]


@needs_root
def test_interrupt_ends_early_and_leaves_no_program(env):
    with Server(env, "--profile", "off") as server, Load(server.address, threads=2):
        command = [profile.program(env), "flame", "-p", str(server.pid), "-d", "60"]
        command += ["-o", env.path("flame.svg")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = process.stderr.readline()
        assert "measuring" in line, line
        numbers = programs(process.pid)
        assert numbers, "no program is loaded"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0 and REPORT.search(stderr), stderr
        measured(float(REPORT.search(stderr).group(3)) < 10, stderr)
        assert procfs.wait_for(lambda: profile.are_gone(numbers), 3), numbers


@needs_root
def test_server_that_ends_meanwhile_ends_the_measurement(env):
    profile.program(env)
    with Server(env, "--profile", "off") as server:
        command = [profile.program(env), "flame", "-p", str(server.pid), "-d", "60"]
        command += ["--off-cpu", "-o", "-"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = process.stderr.readline()
        assert "measuring" in line, line
        server.stop()
        svg, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert xml.fromstring(svg.encode()).tag == SVG + "svg"


@needs_root
def test_messages_and_exit_codes(env):
    prof = profile.program(env)
    for options in (["-d", "0"], ["-F", "x"], ["more"], ["--nothing"], ["-w", "300"]):
        done = subprocess.run([prof, "flame", *options], capture_output=True, text=True, timeout=60)
        assert done.returncode == 64 and "usage: covet-prof flame" in done.stderr, (options, done)
    done = subprocess.run([prof, "flame", "-p", str(os.getpid())], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("covet-prof flame: "), done
    with Server(env, "--profile", "off") as server:
        code, stderr = flame(env, server.pid, "-o", "/nowhere/flame.svg", "--off-cpu", seconds=0.2)
        assert code == 1 and "/nowhere/flame.svg: No such file or directory" in stderr, (code, stderr)


@needs_root
def test_rights_that_are_missing_are_named(env):
    profile.program(env)
    if not shutil.which("setpriv"):
        raise Skip("no setpriv")
    # What each case has, and what it must be told it lacks.
    cases = [
        ("-all", "CAP_SYS_PTRACE"),
        ("-all,+sys_ptrace", "CAP_BPF"),
        ("-all,+sys_ptrace,+bpf", "CAP_PERFMON"),
    ]
    with Server(env, "--profile", "off") as server:
        for rights, missing in cases:
            before = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
            code, stderr = flame(env, server.server_pid, before=before, seconds=0.2)
            assert code == 77 and missing in stderr, (rights, code, stderr)
        before = [word + ",+perfmon" for word in before[1:]]
        code, stderr = flame(env, server.server_pid, "--off-cpu", before=["setpriv", *before], seconds=0.3)
        assert code == 0 and 0.3 <= float(REPORT.search(stderr).group(3)) < 10, (code, stderr)


@needs_root
@limit_s(90)
def test_picture_works_in_a_browser(env):
    profile.program(env)
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if not browser:
        raise Skip("no Chromium")
    with spinning(env) as server, Load(server.address, threads=4):
        flame_busy(env, server.pid)
    with open(env.path("flame.svg")) as file, open(env.path("probed.svg"), "w") as probed:
        probed.write(file.read().replace("</svg>", PROBE))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={env.path('browser')}", f"file://{env.path('probed.svg')}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    seen = re.search(r'data-seen="([a-z,]*)"', done.stdout)
    assert seen and set(seen.group(1).split(",")) == {"true"}, (seen, done.stderr[-500:])
