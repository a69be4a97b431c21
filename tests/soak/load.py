"""Steady background load by covet-load: an open loop, so whatever stalls the server shows in its tail.

The same load goes to the do-nothing responder of perf/ at the same time. What that one's tail shows is the
machine's doing, not the server's.
"""

import asyncio
import json
import os
import statistics
import subprocess

CONNECTIONS, RATE = 8, 200
WARM_BYTES, WARM_COUNT = 65536, 3000
P99_9_REQUESTS_MIN = 10000  # With fewer in a run, its 99th percentile is judged.


class Load:
    """bare_port: where the do-nothing responder listens."""

    def __init__(self, covet, bare_port):
        self.covet = covet
        self.build = os.path.dirname(covet.program)
        host, port = covet.addresses[0]
        self.url, self.bare_url = f"http://{host}:{port}", f"http://127.0.0.1:{bare_port}/"
        self.bare = subprocess.Popen(
            [f"{self.build}/limit", "--port", str(bare_port)], stdout=subprocess.DEVNULL
        )
        self.runs, self.bare_runs = [], []  # What each run said.
        self.answered = 0  # Since the last rest.
        self.processes = set()

    async def run(self, seconds):
        pace = ("-c", str(CONNECTIONS), "--rate", str(RATE), "-d", f"{seconds:.1f}s")
        report, bare = await asyncio.gather(
            self.call(*pace, f"{self.url}/load"), self.call(*pace, self.bare_url)
        )
        self.runs.append(report)
        self.bare_runs.append(bare)
        self.answered += report["requests"]

    async def warm(self):
        """Whatever is used for the first time is used now, many large bodies at once."""
        body = f"{self.covet.directory}/body"
        with open(body, "wb") as file:
            file.write(bytes(WARM_BYTES))
        report = await self.call("-c", "64", "-n", str(WARM_COUNT), "-b", f"@{body}", f"{self.url}/echo/0")
        self.answered += report["requests"]

    async def call(self, *arguments):
        """covet-load's report."""
        process = await asyncio.create_subprocess_exec(
            *(f"{self.build}/covet-load", "-q", "--json", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.processes.add(process)
        text, why = await process.communicate()
        self.processes.remove(process)
        if process.returncode not in (0, 3):  # 3: no room on this machine, which is no fault here.
            raise RuntimeError(f"covet-load ends with {process.returncode}: {why.decode()[-500:]}")
        return json.loads(text)

    def end(self):
        for process in self.processes:
            process.kill()
        self.bare.kill()
        self.bare.wait()

    @property
    def errors(self):
        return sum(run["errors"] for run in self.runs)

    @property
    def percentile(self):
        """The name of the one that is judged."""
        least = min((run["requests"] for run in self.runs), default=0)
        return "p99_9" if least >= P99_9_REQUESTS_MIN else "p99"

    def tail_ms(self, runs):
        return statistics.median(run["latency_us"][self.percentile] or 0 for run in runs) / 1000
