"""Two machines for one test: network namespaces joined by a pair of virtual Ethernet devices.

The test's process moves into the first one, where servers are then started; `client` opens
connections from the second. Both are gone with the process.
"""

import ctypes
import os
import subprocess

from harness import Skip
from harness.client import Client

CLONE_NEWNET = 0x40000000
SERVER = "198.51.100.1"
CLIENT = "198.51.100.2"
libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10)
    if done.returncode != 0:
        raise Skip(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Machines:
    """Call it once per test, before a server is started. Needs root."""

    def __init__(self):
        try:
            call(libc.unshare, CLONE_NEWNET)
            self.far = os.open("/proc/self/ns/net", os.O_RDONLY)
            holder = subprocess.Popen(["sleep", "300"])
            call(libc.unshare, CLONE_NEWNET)
            self.near = os.open("/proc/self/ns/net", os.O_RDONLY)
        except OSError as error:
            raise Skip(f"no network namespace: {error}")
        try:
            ip("link", "set", "lo", "up")
            ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", f"{holder.pid}")
            ip("addr", "add", f"{SERVER}/24", "dev", "near")
            ip("link", "set", "near", "up")
            self.go(self.far)
            ip("addr", "add", f"{CLIENT}/24", "dev", "far")
            ip("link", "set", "far", "up")
            self.go(self.near)
        except FileNotFoundError:
            raise Skip("ip(8) is not installed")
        finally:
            holder.kill()
            holder.wait()

    def go(self, namespace):
        """The calling thread alone."""
        call(libc.setns, namespace, CLONE_NEWNET)

    def client(self, server, **options):
        """A connection to `server` from the other machine; a socket stays where it was made."""
        self.go(self.far)
        try:
            return Client(server.address, **options)
        finally:
            self.go(self.near)

    def listen(self, env):
        """For Server(env, listen=...)."""
        return [f"{SERVER}:{env.free_port()}"]
