"""What is measured of a lab: its nodes started by hand, in both manners, and by corral, taking turns in beginning."""

import contextlib
import json
import os
import pathlib
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import byhand
import nodes
import processes
import rest
import rivals
from nodes import Node

SETTLE_S = 10.0
"""After it is usable, until memory is read: daemons go on loading for a while."""
ORDERLY = (0, 143)  # ended by itself, or by SIGTERM
READ_BYTES = 1 << 22
WARM_UP = """\
services:
  warm:
    image: host
    command: [sleep, "1000"]
    init: true
    healthcheck: {test: [CMD, "true"], start_interval: 250ms, start_period: 10s}
"""
"""A project of one: what the daemon imports and keeps from its first on is not the lab's."""


@dataclass
class Found:
    """Of one lab. `values`: seconds, kB or per cent of a core, by (what, who), where who is a manner of byhand's or "corral".
    `failures`: why it did not come up in some manner. `ended`: services and exit codes of its containers at `down`."""

    nodes: list[Node]
    values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = field(default_factory=dict)
    ended: list[tuple[str, int]] = field(default_factory=list)
    load: list[float] = field(default_factory=list)

    def note(self, what: str, who: str, value: float) -> None:
        self.values[what, who].append(value)


@dataclass(frozen=True)
class Lab:
    """`folder`: its files, as `corral init` made them; the project is called like it."""

    folder: pathlib.Path

    @property
    def name(self) -> str:
        return self.folder.name


def measure(lab: Lab, corral: rivals.Corral, place: pathlib.Path, rounds: int, idle_s: float) -> Found:
    """`place`: an empty folder for what is started by hand."""
    found = Found(nodes.read(rivals.run(corral, lab.folder, "config", "--format", "json")))
    _read_in(found.nodes)
    ways = [*byhand.MANNERS, corral.name]
    for number in range(rounds):
        found.load.append(os.getloadavg()[0])
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            if way == corral.name:
                _begin_anew(corral, place / "warm")
                _by_corral(found, lab, corral, idle_s)
            elif way not in found.failures:
                _by_hand(found, lab, place / f"{way.replace(' ', '-')}-{number}", way)
    return found


def _read_in(of: list[Node]) -> None:
    """Programs are in memory before anybody begins: nobody pays for the disk."""
    homes = {mount.source for node in of for mount in node.mounts if mount.read_only and not mount.volume}
    for home in {*homes, "/usr/lib/jvm"}:
        for top, _, names in os.walk(home):
            for name in names:
                with contextlib.suppress(OSError), open(os.path.join(top, name), "rb", buffering=0) as file:
                    while file.read(READ_BYTES):
                        pass


def _by_hand(found: Found, lab: Lab, place: pathlib.Path, manner: str) -> None:
    rest.come()
    try:
        with byhand.started(found.nodes, lab.name, place, manner) as cluster:
            found.note("usable", manner, cluster.usable_s)
            time.sleep(SETTLE_S)
            found.note("memory", manner, processes.pss_kb()[processes.NODES])
    except byhand.DidNotComeUpError as error:
        found.failures[manner] = str(error)
    _say(f"{lab.name} by hand, {manner}", found, manner)


def _begin_anew(corral: rivals.Corral, folder: pathlib.Path) -> None:
    """With a daemon that has kept nothing of labs before."""
    corral.stop()
    corral.start()
    folder.mkdir(exist_ok=True)
    (folder / "compose.yaml").write_text(WARM_UP)
    rivals.run(corral, folder, "up", "-d", "--wait")
    rivals.run(corral, folder, "down")


def _by_corral(found: Found, lab: Lab, corral: rivals.Corral, idle_s: float) -> None:
    try:
        rest.come()
        _note_shares(found, "at rest", processes.pss_kb())
        before = processes.times()
        found.note("usable", corral.name, _timed(lab, corral, "up", "-d", "--wait"))
        _note_shares(found, "coming up", processes.taken_s(before, processes.times()))
        time.sleep(SETTLE_S)
        _note_shares(found, "memory", processes.pss_kb())
        _note_shares(found, "busy", processes.busy_percent(idle_s))
        with _exits(lab, corral, found.ended):
            found.note("down", corral.name, _timed(lab, corral, "down"))
        found.note("again", corral.name, _timed(lab, corral, "up", "-d", "--wait"))
    finally:
        rivals.run(corral, lab.folder, "down", "-v")
    _say(f"{lab.name} by corral", found, corral.name)


def _note_shares(found: Found, what: str, by_kind: Mapping[str, float]) -> None:
    """Of corral: the sum, and each share."""
    found.note(what, rivals.Corral.name, sum(by_kind.values()))
    for kind, value in by_kind.items():
        found.note(f"{what} {kind}", rivals.Corral.name, value)


def _timed(lab: Lab, corral: rivals.Corral, *words: str) -> float:
    rest.come()
    began = time.perf_counter()
    rivals.run(corral, lab.folder, *words)
    return time.perf_counter() - began


@contextlib.contextmanager
def _exits(lab: Lab, corral: rivals.Corral, ended: list[tuple[str, int]]) -> Iterator[None]:
    """Add the exit codes of the containers that end meanwhile: nobody can ask for them when the project is gone."""
    command = corral.command("events", "--json", "--since", "1s")
    with subprocess.Popen(command, cwd=lab.folder, env=corral.environment, stdout=subprocess.PIPE, text=True) as events:
        try:
            time.sleep(1.0)  # until it listens
            yield
        finally:
            time.sleep(1.0)  # until it has told all
            events.terminate()
        told, _ = events.communicate()
    for event in map(json.loads, told.splitlines()):
        if event["action"] == "die":
            ended.append((event["service"], int(event["attributes"]["exitCode"])))


def _say(what: str, found: Found, who: str) -> None:
    usable, memory = found.values["usable", who], found.values["memory", who]
    said = f"{usable[-1]:.1f} s, {memory[-1] / 1024:,.0f} MB" if usable else found.failures.get(who)
    print(f"{what}: {said}", flush=True)
