"""Drives a headless Chromium over its DevTools protocol: pages in a given size and colour scheme,
scripts in them, screenshots, and everything the page complained about.

    with Browser(env) as browser:
        page = browser.open(url, width=400, dark=True)
        page.wait_for("document.title === 'covet'")
        assert not page.complaints

Chromium prints where its DevTools listen; commands and events are JSON texts over one WebSocket
(RFC 6455), of which this file has the little that is needed.
"""

import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time

from harness import Skip

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-extensions",
           "--hide-scrollbars", "--remote-debugging-port=0")
START_S = 40
ANSWER_S = 40
TEXT, CLOSE, PING = 1, 8, 9


class WebSocket:
    """The client's side, text messages only."""

    def __init__(self, url):
        host, port, path = re.fullmatch(r"ws://([^:/]+):(\d+)(/.*)", url).groups()
        self.socket = socket.create_connection((host, int(port)), ANSWER_S)
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self.fill(time.monotonic() + ANSWER_S)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head

    def fill(self, deadline):
        self.socket.settimeout(max(deadline - time.monotonic(), 0.01))
        data = self.socket.recv(1 << 20)
        assert data, "the browser has ended the connection"
        self.buffer += data

    def take(self, count, deadline):
        while len(self.buffer) < count:
            self.fill(deadline)
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, text, opcode=TEXT):
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(head + mask + masked)

    def receive(self, deadline):
        """The next message; raises socket.timeout when none comes in time."""
        message = b""
        while True:
            kept = self.buffer
            try:
                first, second = self.take(2, deadline)
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack("!H", self.take(2, deadline))
                elif size == 127:
                    (size,) = struct.unpack("!Q", self.take(8, deadline))
                data = self.take(size, deadline)
            except socket.timeout:
                self.buffer = kept if len(kept) > len(self.buffer) else self.buffer
                raise
            assert first & 0x0F != CLOSE, "the browser has closed the WebSocket"
            if first & 0x0F == PING:
                continue
            message += data
            if first & 0x80:
                return message.decode()


class Page:
    """One tab. `complaints`: console messages, exceptions and refused loads, as texts."""

    def __init__(self, browser, session):
        self.browser, self.session, self.complaints, self.requested = browser, session, [], []

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression, limit_s=30):
        deadline = time.monotonic() + limit_s
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"not within {limit_s} s: {expression}; {self.complaints}"
            time.sleep(0.1)
        return value

    def screenshot(self, path):
        """The whole page, also what is below the window's end, as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def point_at(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def on_event(self, method, parameters):
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled":
            words = [str(one.get("value", one.get("description"))) for one in parameters["args"]]
            self.complaints.append(f"console.{parameters['type']}: {' '.join(words)}")
        elif method == "Log.entryAdded":
            entry = parameters["entry"]
            self.complaints.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])


class Browser:
    def __init__(self, env):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise Skip("no Chromium here")
        self.program, self.profile, self.pages, self.calls = program, env.path("browser"), {}, 0

    def __enter__(self):
        command = [self.program, *OPTIONS, f"--user-data-dir={self.profile}", "about:blank"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, start_new_session=True)
        try:
            self.web = WebSocket(self.read_url())
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.web.socket.close()
        self.end()

    def end(self):
        """The browser is a family of processes in a session of its own."""
        os.killpg(self.process.pid, 9)
        self.process.wait(10)
        self.process.stderr.close()

    def read_url(self):
        """Chromium says it on standard error, or in this file of its profile."""
        path = os.path.join(self.profile, "DevToolsActivePort")
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Skip(f"Chromium does not start: {self.process.stderr.read()[-200:]!r}")
            if os.path.exists(path) and len(lines := open(path).read().split("\n")) >= 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.05)
        raise Skip(f"Chromium does not start within {START_S} s")

    def call(self, method, session=None, **parameters):
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.web.send(json.dumps(message))
        deadline = time.monotonic() + ANSWER_S
        while True:
            answer = json.loads(self.web.receive(deadline))
            if answer.get("id") == self.calls:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if page := self.pages.get(answer.get("sessionId")):
                page.on_event(answer["method"], answer["params"])

    def open(self, url, width=1200, height=900, dark=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Runtime", "Log", "Network", "Page"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=False,
                  deviceScaleFactor=1)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Page.navigate", url=url)
        return page
