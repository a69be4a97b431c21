"""The workers' memory: what /metrics says of it, and the debug mode."""

import os
import re
import shutil
import subprocess
import time

from harness import Skip, metrics, names, procfs
from harness.client import chunked_bytes, get_bytes, get_once, post_bytes
from harness.load import Load
from harness.server import Server

DEBUG = {"COVET_MEMORY": "debug"}
INCLUDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../include")

MODULE = """
#include <covet.h>
#include <string.h>
COVET_MODULE;

static void healthy(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "ok");
}

static void mistaken(struct covet_request *request, struct covet_response *response) {
    char *memory = covet_alloc(covet_request_worker(request), 100);
    covet_free(memory);
    __asm__ volatile("" : "+r"(memory));
    MISTAKE;
    covet_response_text(response, "unharmed");
}

int covet_module_init(struct covet_app *app) {
    int status = covet_route(app, COVET_GET, "/mistake", mistaken, NULL);
    return status != 0 ? status : covet_route(app, COVET_GET, "/healthz", healthy, NULL);
}
"""


def test_metrics_say_what_backs_the_memory_before_any_is_used(env):
    with Server(env) as server:
        samples = metrics.scrape(server.address)
        kinds = {
            labels["pages"]: value for name, labels, value in samples if name == names.MEMORY_SLABS
        }
        assert sorted(kinds) == ["hugetlb", "plain", "transparent"], kinds
        assert sum(kinds.values()) == 1, kinds


def test_metrics_follow_what_is_live(env):
    with Server(env) as server, server.client() as client:
        client.send(post_bytes("/echo", b"x" * 500000)[:-1])
        assert procfs.wait_for(
            lambda: metrics.total(metrics.scrape(server.address), names.MEMORY_LIVE) > 500000, 5
        ), "half a body takes no memory"
        client.send(b"x")
        assert client.read().status == 200
        assert procfs.wait_for(
            lambda: metrics.total(metrics.scrape(server.address), names.MEMORY_LIVE) < 100000, 5
        ), "an answered body keeps its memory"
        samples = metrics.scrape(server.address)
        assert metrics.total(samples, names.MEMORY_PEAK) > 500000
        assert metrics.total(samples, names.MEMORY_REFILLS) > 0


def test_steady_load_refills_nothing(env):
    with Server(env) as server:
        with Load(server.address, threads=4):
            time.sleep(0.7)
            before = metrics.total(metrics.scrape(server.address), names.MEMORY_REFILLS)
            time.sleep(1.0)
            after = metrics.total(metrics.scrape(server.address), names.MEMORY_REFILLS)
        assert after - before < 20, f"{after - before:.0f} refills in a second of steady load"


def test_debug_mode_finds_nothing_in_the_server_itself(env):
    requests = [
        get_bytes("/"),
        get_bytes("/api/users/7/posts/99/comments"),
        get_bytes("/nothing"),
        post_bytes("/echo", b"y" * 60000),
        chunked_bytes("/echo", [b"a" * 1000, b"b" * 3000]),
        get_bytes("/metrics"),
    ]
    with Server(env, environment=DEBUG) as server:
        with Load(server.address, threads=2), server.client() as client:
            for number in range(600):
                client.send(requests[number % len(requests)])
                client.read_final()
        with server.client() as client:  # One that leaves in the middle.
            client.send(post_bytes("/echo", b"z" * 1000)[:-10])
        assert get_once(server.address).status == 200


def mistake(env, name, code, environment):
    """Runs a module whose handler does `code`; gives what the log says of it."""
    if not shutil.which("cc"):
        raise Skip("no C compiler")
    source, module = env.path(f"{name}.c"), env.path(f"{name}.so")
    with open(source, "w") as file:
        file.write(MODULE.replace("MISTAKE", code))
    build = ["cc", "-shared", "-fPIC", "-w", f"-I{INCLUDE}", "-o", module, source]
    subprocess.run(build, check=True)
    os.chmod(module, 0o755)
    options = ("--module", module)
    with Server(env, *options, may_crash=True, environment=environment) as server:
        with server.client() as client:
            client.try_send(get_bytes("/mistake"))
            found = procfs.wait_for(lambda: re.search(names.MEMORY_ERROR, server.log()), 5)
        assert found, f"{name} was not noticed: {server.log()[-800:]}"
        # The supervisor starts another one.
        assert procfs.wait_for(lambda: server.server_pid, 20), "no server after the mistake"
        return re.search(names.MEMORY_ERROR, server.log())[1]


def test_debug_mode_names_a_handlers_double_free(env):
    kind = mistake(env, "twice", "covet_free(memory)", DEBUG)
    assert kind == "double_free", kind


def test_debug_mode_names_a_handlers_use_after_free(env):
    kind = mistake(env, "after", "memset(memory, 1, 100)", DEBUG)
    assert kind == "use_after_free", kind
