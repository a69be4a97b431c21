"""--config and --module: mistakes are errors with their place, and nothing is half started."""

import os
import shutil
import signal
import subprocess
import time

from harness import Skip, limit_s, names, procfs
from harness.client import get_once, post_bytes
from harness.server import Server, run


def written(env, name, text):
    path = env.path(name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def test_unknown_key_is_an_error_with_its_line(env):
    path = written(env, "bad.conf", "# A comment.\n\nno-such-key = 1\n")
    status, _, err, _ = run(env, "--config", path, "--listen", f"127.0.0.1:{env.free_port()}")
    assert status == names.EXIT_CONFIG, (status, err)
    assert f"{path}:3" in err and "no-such-key" in err, err


def test_bad_value_is_an_error_with_its_line(env):
    path = written(env, "bad.conf", f"# A comment.\n{names.BODY_MAX[2:]} = many\n")
    status, _, err, _ = run(env, "--config", path, "--listen", f"127.0.0.1:{env.free_port()}")
    assert status == names.EXIT_CONFIG, (status, err)
    assert f"{path}:2" in err, err


def test_line_that_is_no_setting_is_an_error(env):
    path = written(env, "bad.conf", "nonsense without a sign\n")
    status, _, err, _ = run(env, "--config", path, "--listen", f"127.0.0.1:{env.free_port()}")
    assert status == names.EXIT_CONFIG and f"{path}:1" in err, (status, err)


def test_missing_configuration_is_an_error(env):
    status, _, err, _ = run(env, "--config", env.path("absent.conf"))
    assert status == names.EXIT_CONFIG and "absent.conf" in err, (status, err)


def test_settings_of_the_file_count(env):
    path = written(env, "good.conf", f"# Small bodies only.\n{names.BODY_MAX[2:]} = 100\n")
    with Server(env, "--config", path) as server, server.client() as client:
        client.try_send(post_bytes("/echo", b"x" * 101))
        assert client.read_final().status == 413


def test_hup_reads_the_file_again(env):
    path = written(env, "good.conf", f"{names.BODY_MAX[2:]} = 100\n")
    with Server(env, "--config", path) as server:
        written(env, "good.conf", f"{names.BODY_MAX[2:]} = 1000\n")
        server.signal(signal.SIGHUP)
        deadline = time.monotonic() + 5 * env.slack
        status = 0
        while status != 200 and time.monotonic() < deadline:
            with server.client() as client:
                client.try_send(post_bytes("/echo", b"x" * 500))
                status = client.read_final().status
            time.sleep(0.05)
        assert status == 200, f"{status}: the new limit is not in force"


def test_hup_with_a_broken_file_changes_nothing(env):
    path = written(env, "good.conf", f"{names.BODY_MAX[2:]} = 100\n")
    with Server(env, "--config", path) as server:
        written(env, "good.conf", "no-such-key = 1\n")
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: f"{path}:1" in server.log(), 5 * env.slack), server.log()[-400:]
        assert get_once(server.address).status == 200


def test_missing_module_is_an_error(env):
    status, _, err, _ = run(
        env, "--module", env.path("absent.so"), "--listen", f"127.0.0.1:{env.free_port()}"
    )
    assert status == names.EXIT_CONFIG and "absent.so" in err, (status, err)


def test_file_that_is_no_module_is_an_error(env):
    path = written(env, "text.so", "this is no shared object\n")
    status, _, err, _ = run(env, "--module", path, "--listen", f"127.0.0.1:{env.free_port()}")
    assert status == names.EXIT_CONFIG and "text.so" in err, (status, err)


def compiled(env, name, source):
    path = written(env, name + ".c", source)
    target = env.path(name + ".so")
    try:
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", target, path], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip(f"no C compiler: {error}")
    os.chmod(target, 0o755)
    return target


def test_library_without_the_entry_point_is_an_error(env):
    path = compiled(env, "empty", "int some_other_name(void) { return 0; }\n")
    status, _, err, _ = run(env, "--module", path, "--listen", f"127.0.0.1:{env.free_port()}")
    assert status == names.EXIT_CONFIG and "empty.so" in err, (status, err)


def test_module_of_another_version_is_an_error_with_both_numbers(env):
    path = compiled(
        env,
        "old",
        "const unsigned int covet_module_api = 987654;\n"
        "int covet_module_init(void *app) { (void)app; return 0; }\n",
    )
    status, _, err, _ = run(env, "--module", path, "--listen", f"127.0.0.1:{env.free_port()}")
    assert status == names.EXIT_CONFIG and "987654" in err, (status, err)


def examples(env):
    if not env.module_dir:
        raise Skip("no --module-dir")
    found = sorted(name for name in os.listdir(env.module_dir) if name.endswith(".so"))
    if not found:
        raise Skip(f"no .so in {env.module_dir}")
    return [os.path.join(env.module_dir, name) for name in found]


@limit_s(60)
def test_every_example_module_loads_and_serves(env):
    for path in examples(env):
        with Server(env, "--module", path) as server, server.client() as client:
            assert client.get("/").status in (200, 404), path


@limit_s(60)
def test_hup_loads_the_module_again(env):
    """The file is replaced by a copy of itself while requests run; none of them notices."""
    path = env.path("module.so")
    shutil.copy(examples(env)[0], path)
    with Server(env, "--module", path) as server, server.client() as client:
        first = client.get("/").status
        for turn in range(1, 6):
            shutil.copy(examples(env)[0], path + ".new")
            os.rename(path + ".new", path)
            server.signal(signal.SIGHUP)
            assert procfs.wait_for(lambda: server.log().count(names.RELOADED) == turn, 5 * env.slack), turn
            assert client.get("/").status == first
