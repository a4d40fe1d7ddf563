"""What is true of every lab as `corral init` makes it by itself: it rests, its pages open, and it comes and goes in order."""

import collections
import itertools
import json
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.command_line import labs
from tests import slowness
from tests.e2e import machine
from tests.e2e.lab import eventually
from tests.e2e.labs import browser
from tests.e2e.labs import cluster as clusters
from tests.e2e.labs.cluster import Cluster

REST_S = 45
DOWN_S = 5
SUCCESSOR_S = {"kafka": 5}
"""Its last leader waits so long for another one: docs/labs.md, "Faults of others"."""
PAGES = {
    "hadoop": {
        "NameNode": 1,
        "ResourceManager": 1,
        "DataNode": 3,
        "NodeManager": 3,
        "Job history": 1,
        "Spark history": 1,
    },
    "hadoop-ha": {
        "NameNode": 2,
        "ResourceManager": 2,
        "JournalNode": 3,
        "DataNode": 3,
        "NodeManager": 3,
        "Job history": 1,
    },
    "hbase": {"NameNode": 1, "DataNode": 3, "HBase master": 1, "RegionServer": 3},
    "hive": {"NameNode": 1, "DataNode": 2, "Thrift server": 1},
    "kafka": {},
    "spark": {"Master": 1, "Worker": 3},
}
NEEDS_MORE = r"/prof(\?|$)"
"""HBase's page of a profiler that is not part of it."""


@pytest.fixture(scope="module", params=sorted(labs.all_of_them()))
def cluster(corrals: Any, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with clusters.brought_up(corrals, (request.param,), project=request.param) as found:
        yield found


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of the lab."""
    return str(request.node.callspec.params["cluster"])


def unwell(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Nodes that do not run, or do not what they are for; the steps before a start are none."""
    found = {
        name: (line["State"], line["Health"]) for name, line in cluster.lab.ps().items() if "pre_start" not in name
    }
    return {name: each for name, each in found.items() if each not in (("running", "healthy"), ("running", ""))}


def zombies(pids: list[int]) -> list[str]:
    """Processes that nobody buries in the pid namespaces of these; but for the shell that `spark-class` leaves to its JVM, as
    docs/labs.md says."""
    places = {os.readlink(f"/proc/{pid}/ns/pid") for pid in pids}
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text, place = path.read_text(), os.readlink(path.with_name("ns") / "pid")
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        is_sparks = "(bash)" in text and "org.apache.spark." in machine.command_line(int(parent))
        if place in places and state == "Z" and not is_sparks:
            found.append(text)
    return found


def test_at_rest_nothing_starts_again(cluster: Cluster) -> None:
    """Whoever dies and comes back within a second is healthy in every `ps`: so the events are asked too."""
    until = time.monotonic() + slowness.scaled(REST_S)
    while time.monotonic() < until:
        assert {state for state, _ in unwell(cluster).values()} <= {"running"}
    starts = collections.Counter(event["attributes"]["name"] for event in cluster.events("start"))
    assert set(starts.values()) == {1}, starts
    assert len(starts) == len([name for name in cluster.lab.ps() if "pre_start" not in name])
    assert cluster.events("die", "oom") == []
    logs = cluster.lab.out("logs", "--no-log-prefix")
    assert "fatal error" not in logs
    assert "it is started again" not in logs, "a daemon of a worker, by bin/keep"
    assert unwell(cluster) == {}
    eventually(lambda: not zombies([pid for pid in cluster.lab.pids().values() if pid]) or None)


def test_every_page_answers_on_this_machine_by_address_and_by_name(cluster: Cluster, name: str) -> None:
    assert cluster.pages() == PAGES[name]
    with cluster.named():
        assert cluster.pages_by_name() == PAGES[name]


def test_every_page_opens_in_a_real_browser_whole_and_its_links_lead_somewhere(cluster: Cluster, name: str) -> None:
    with cluster.named(), browser.on_the_machine_of(cluster.lab) as window:
        urls = cluster.lab.out("urls", "-q").split()
        assert len(urls) == sum(PAGES[name].values())
        links: dict[str, str] = {}
        for url in urls:
            window.open(url)
            eventually(lambda: window.is_whole, 30)
            assert window.missing == [], url
            links |= dict.fromkeys(window.links, url)
        own = [link for link in links if re.match(rf"http://[\w-]+\.{cluster.lab.project}[:/]", link)]
        assert len(own) >= len(urls)
        dead = cluster.dead([link for link in own if not re.search(NEEDS_MORE, link)])
        assert not dead, "\n".join(f"{links[line.split(': ')[0]]} leads to {line}" for line in dead)


def dependencies(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Pairs of a service and one that it needs."""
    services = json.loads(cluster.lab.out("config", "--format", "json"))["services"]
    for name, service in services.items():
        yield from ((name, needed) for needed in service.get("depends_on", {}))


def test_down_ends_every_daemon_by_sigterm_and_who_is_needed_last(cluster: Cluster, name: str) -> None:
    count, pairs = len(running(cluster)), list(dependencies(cluster))
    with cluster.lab.popen("events", "--json", "--since", "2h", stdout=subprocess.PIPE) as stream:
        assert stream.stdout
        told = map(json.loads, stream.stdout)
        list(itertools.islice(actions(told, "start"), count))  # it listens by now
        began = time.monotonic()
        cluster.down()
        took_s, busy = time.monotonic() - began, max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
        until_all_are_gone = itertools.islice(actions(told, "die", "destroy"), 2 * count)
        ended = [event for event in until_all_are_gone if event["action"] == "die"]
        stream.terminate()
    codes = {event["attributes"]["name"]: event["attributes"].get("exitCode") for event in ended}
    assert len(codes) == count
    assert set(codes.values()) <= {"0", "143"}, codes
    order = [event["service"] for event in ended]
    for service, needed in pairs:
        assert max(n for n, each in enumerate(order) if each == service) < order.index(needed), (service, needed, order)
    assert took_s < slowness.scaled((DOWN_S + SUCCESSOR_S.get(name, 0)) * busy)


def actions(told: Iterator[dict[str, Any]], *wanted: str) -> Iterator[dict[str, Any]]:
    """Those of containers that are no steps before a start."""
    for event in told:
        if event["action"] in wanted and "pre_start" not in event["attributes"].get("name", ""):
            yield event


def running(cluster: Cluster) -> list[str]:
    return [name for name, state in cluster.lab.states().items() if state == "running"]


def test_an_up_waits_for_a_down_that_is_under_way(cluster: Cluster) -> None:
    cluster.up()
    count = len(running(cluster))
    with cluster.lab.popen("down") as down:
        eventually(lambda: len(running(cluster)) < count)
        cluster.up()
        down.wait(60)
    assert unwell(cluster) == {}
    assert len(running(cluster)) == count
