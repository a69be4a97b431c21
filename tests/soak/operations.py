"""What an administrator does to the server meanwhile, one thing at a time, and what must follow from it."""

import asyncio
import os
import signal
import time

from covet import Trouble
from harness.profile import BPF_FS

EXTRA = "/routes?method=GET&pattern=%2Fextra%2F%7Bnonce:int%7D"
COLOUR = "/routes?method=GET&pattern=%2Fcolour%2F%7Bnonce:int%7D&handler="
STOPPED_S = 0.2


class Operations:
    """Refuses nothing and hides nothing: what does not happen as it should is the world's failure."""

    def __init__(self, world, covet, random):
        self.world, self.truth, self.covet, self.random = world, world.truth, covet, random
        self.version, self.level, self.rotations = "1", "off", 0
        self.errors_expected = {"reload_failed": 0, "crash": 0, "server_died": 0}
        self.took_s = {"hand_over": [], "crash": []}
        self.counts = {}
        self.can_profile, self.why_not = profiling(covet)

    async def do(self, name):
        self.truth.note(f"{name} begins")
        try:
            await getattr(self, name)()
        except (Trouble, OSError) as error:
            self.world.fail("operation", "operator", name, f"{type(error).__name__}: {error}")
        self.counts[name] = self.counts.get(name, 0) + 1
        self.truth.note(f"{name} is done")

    def ordinary(self):
        """The names of what may happen at any time; each costs nobody anything."""
        names = ["reload", "replace_module", "refuse_config", "change_colour", "change_colour"]
        names += ["change_extra", "change_extra", "rotate"]
        return names + (["change_level", "look_with_profiler"] if self.can_profile else [])

    # Reloads forget the routes that were changed while the server ran.
    async def reload(self):
        self.truth.colour.begin("red")
        self.truth.extra.begin(404)
        await self.covet.reload()
        self.truth.colour.settle("red")
        self.truth.extra.settle(404)

    async def replace_module(self):
        version = "2" if self.version == "1" else "1"
        self.covet.install(version)
        self.truth.version.begin(version)
        await self.reload()
        self.truth.version.settle(version)
        self.version = version

    async def refuse_config(self):
        """A mistake in the file: everything stays as it was, and the log says which line."""
        since = len(self.covet.read_log())
        self.covet.write_config("listen = 127.0.0.1:1\nno-such-option = 1\n")
        self.errors_expected["reload_failed"] += 1
        self.covet.tell(signal.SIGHUP)
        try:
            line = await self.covet.wait_line(r"event=reload_failed", since, 10)
        finally:
            self.covet.configure()
        if "config:2" not in line:
            raise Trouble(f"the mistake is in line 2, but the log says {line}")

    async def rotate(self):
        """The log is moved away and HUP opens a new one, as logrotate does."""
        self.rotations += 1
        os.rename(self.covet.access_log, f"{self.covet.access_log}.{self.rotations}")
        await self.reload()

    async def admin(self, method, target, wanted):
        status, text = await asyncio.to_thread(self.covet.ask, method, target)
        if status != wanted:
            raise Trouble(f"{method} {target} answers {status} {text!r}, not {wanted}")

    async def change_colour(self):
        colour = self.random.choice(("red", "blue"))
        self.truth.colour.begin(colour)
        await self.admin("POST", COLOUR + colour, 200)
        self.truth.colour.settle(colour)

    async def change_extra(self):
        is_there = self.truth.extra.between(time.monotonic(), time.monotonic()) == {200}
        status = 404 if is_there else 200
        self.truth.extra.begin(status)
        await self.admin("DELETE" if is_there else "POST", EXTRA + ("" if is_there else "&handler=blue"), 200)
        self.truth.extra.settle(status)

    # The profiler.
    async def change_level(self):
        self.level = self.random.choice([level for level in ("off", "1", "2", "3") if level != self.level])
        self.covet.configure(profile=self.level)
        since = len(self.covet.read_log())
        await self.reload()
        if self.level != "off":
            await self.covet.wait_line(r"event=profile ", since, 15)

    async def look_with_profiler(self):
        """covet-prof stat: attaches where no profiler is, measures a second, and leaves."""
        process = await asyncio.create_subprocess_exec(
            os.path.join(os.path.dirname(self.covet.program), "covet-prof"),
            *("stat", "--json", "-p", str(self.covet.pid), "--pin-dir", self.covet.pin_dir),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        text, why = await process.communicate()
        if process.returncode != 0 or not text.strip():
            raise Trouble(f"covet-prof stat ends with {process.returncode}: {why.decode()[-300:]}")

    # What costs a process, or time.
    async def hand_over(self):
        """Sometimes to another version of the module."""
        version = self.random.choice(("1", "2"))
        self.covet.install(version)
        self.truth.version.begin(version)
        self.truth.colour.begin("red")
        self.truth.extra.begin(404)
        drain = [time.monotonic(), float("inf")]
        self.truth.drains.append(drain)
        try:
            self.took_s["hand_over"].append(await self.covet.hand_over())
        finally:
            drain[1] = time.monotonic()
        self.truth.version.settle(version)
        self.truth.colour.settle("red")
        self.truth.extra.settle(404)
        self.version = version

    async def crash(self):
        """The next server serves what the last one served, without the routes changed since its load."""
        window = [time.monotonic(), float("inf")]
        self.truth.crashes.append(window)
        self.truth.colour.begin("red")
        self.truth.extra.begin(404)
        self.errors_expected["crash"] += 1
        self.errors_expected["server_died"] += 1
        try:
            self.took_s["crash"].append(await self.covet.crash())
        finally:
            window[1] = time.monotonic()
        self.truth.colour.settle("red")
        self.truth.extra.settle(404)

    async def stall(self):
        """The whole server stands still for a moment; that explains no failure."""
        os.kill(self.covet.server_pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(STOPPED_S)
        finally:
            os.kill(self.covet.server_pid, signal.SIGCONT)


def profiling(covet):
    """Whether covet-prof can run here, and else why not."""
    import subprocess

    path = os.path.join(os.path.dirname(covet.program), "covet-prof")
    if not os.access(path, os.X_OK):
        return False, "covet-prof is not built"
    done = subprocess.run(
        [path, "check", "--pin-dir", covet.pin_dir], capture_output=True, text=True
    )
    return done.returncode == 0, "covet-prof check: " + "; ".join((done.stdout + done.stderr).split("\n")[:2])
