"""examples/monitoring: every metric the Grafana dashboard asks for is served, with the labels it
names, and both files are what Grafana and Prometheus take."""

import json
import os
import re
import shutil
import subprocess
import time

from harness import Skip, metrics, profile
from harness.client import get_once
from harness.serve import Serve, binary
from harness.server import Server

HERE = os.path.dirname(os.path.abspath(__file__))
MONITORING = os.path.join(HERE, "../../examples/monitoring")
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
METRIC = re.compile(r"\b(covet_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)=~?"')
GROUPED = re.compile(r"\bby \(([^)]*)\) \(\w+\((covet_\w+)")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",),
            "histogram": ("_bucket", "_count", "_sum")}


def read_dashboard():
    with open(os.path.join(MONITORING, "grafana-covet.json"), encoding="utf-8") as file:
        return json.load(file)


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard):
    """Every expression, those of the variables included, with where it stands."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]


def served(text):
    """{sample name: its labels, None where the family has no sample now}."""
    found = {}
    for family, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        found.update({family + suffix: None for suffix in SUFFIXES[kind]})
    for name, labels, _ in metrics.parse(text):
        found[name] = set(labels)
    return found


def texts(env):
    """What both pages say about a server that has answered, at the highest level possible here."""
    try:
        options = ["--level", "3"] if profile.program(env) and env.is_root else ["--level", "0"]
    except Skip:
        options = ["--level", "0"]
    with Server(env) as server, Serve(env, server, *options) as serve:
        for _ in range(20):
            get_once(server.address)
        time.sleep(0.2)
        return (get_once(server.address, "/metrics").body.decode(),
                serve.get("/metrics").body.decode())


def test_every_metric_of_the_dashboard_is_served(env):
    own, profiled = map(served, texts(env))
    assert not set(own) & set(profiled), f"on both pages: {set(own) & set(profiled)}"
    names = {**own, **profiled}
    asked = set()
    for place, query in queries(read_dashboard()):
        grouped = {name: set(labels.split(", ")) for labels, name in GROUPED.findall(query)}
        for name, matchers in METRIC.findall(query):
            asked.add(name)
            assert name in names, f"{place}: {name} is on neither page"
            have = names[name]
            wanted = set(MATCHER.findall(matchers)) - {"instance"} | grouped.get(name, set())
            assert have is None or wanted <= have, f"{place}: {name} has {have}, not {wanted}"
    assert len(asked) > 35 and asked & set(own) and asked & set(profiled), len(asked)


def test_dashboard_is_one_that_grafana_takes(env):
    dashboard = read_dashboard()
    assert dashboard["uid"] is None and dashboard["id"] is None, "it would replace another one"
    assert dashboard["title"] and dashboard["schemaVersion"] >= 36
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) > 20
    for panel in panels(dashboard):
        assert panel["datasource"] == DATASOURCE, panel["title"]
        assert panel["title"] and panel["targets"], panel
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)), panel["title"]
        assert all(target["datasource"] == DATASOURCE for target in panel["targets"]), panel["title"]
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= set(variables), (panel["title"], used)
            assert target["expr"].count("(") == target["expr"].count(")"), target["expr"]
    for variable in variables.values():
        assert variable["type"] == "datasource" or variable["datasource"] == DATASOURCE
    hard = set(re.findall(r'"uid": "([^"]*)"', json.dumps(dashboard))) - {"${datasource}"}
    assert not hard, f"ids of one Grafana alone: {hard}"


def test_dashboard_panels_lie_beside_each_other(env):
    taken = {}
    for panel in read_dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_prometheus_example_names_the_ports_of_both_pages(env):
    path = os.path.join(MONITORING, "prometheus.yml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    targets = re.findall(r'targets: \["([^"]+)"\]', text)
    assert len(targets) == 2, targets
    done = subprocess.run([binary(env), "serve", "--help"], capture_output=True, text=True)
    assert f"default {targets[1]}" in done.stdout, (targets, done.stdout)
    assert f"--admin {targets[0]}" in text and f"--listen {targets[1]}" in text
    if promtool := shutil.which("promtool"):
        checked = subprocess.run([promtool, "check", "config", path], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def test_admin_serves_what_the_prometheus_example_scrapes(env):
    port = env.free_port()
    with Server(env, "--admin", f"127.0.0.1:{port}"):
        answer = get_once(("127.0.0.1", port), "/metrics")
        assert answer.status == 200 and answer.get("Content-Type").startswith("application/openmetrics-text")
