"""What is measured, and in which order: every round does everything with all, and who begins takes turns."""

import os
import pathlib
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import memory
import project
import rest
import rivals
import traffic
from fetched import Places

RIVALS = ("corral", "compose", "podman-compose")
NOOPS, EXECS, KILLS = 6, 5, 5
READ_SIZES, READS = (5, 300), 5
RESTFUL_LIFE_S = 10.0
"""They restart a container at once only if it lived so long before."""
HEAL_S = 20.0
DOWN_TRIES = 5


@dataclass(frozen=True)
class Plan:
    """`seconds`: no round begins after so long."""

    sizes: list[int]
    rounds: int
    seconds: float
    who: tuple[str, ...] = RIVALS


@dataclass
class Found:
    """`values`: what was measured, by (what, who): seconds, kB, Gbit/s or answers a second. `load`: of the machine before each round. `failures`: what
    a `down` that had to be repeated said."""

    versions: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    load: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    took_s: float = 0.0


def measure(plan: Plan, places: Places, folder: pathlib.Path) -> Found:
    project.make_root(folder / "rootfs")
    present: list[rivals.Rival] = [
        each(places, folder) for each in (rivals.Corral, rivals.Compose, rivals.PodmanCompose) if each.name in plan.who
    ]
    found, began = Found(), time.monotonic()
    folders = {
        each.name: rivals.write_projects(each, folder, sorted({1, *READ_SIZES, *plan.sizes})) for each in present
    }
    traffics = {each.name: traffic.Traffic(each, folder, number) for number, each in enumerate(present, 1)}
    try:
        for each in present:
            before = memory.processes_kb()
            each.start()
            found.versions[each.name] = each.version()
            _warm_up(each, folders[each.name][1])
            memory.settle()
            found.values["at rest", each.name].append(memory.processes_kb() - before)
        for number in range(plan.rounds):
            if time.monotonic() - began > plan.seconds:
                break
            found.load.append(os.getloadavg()[0])
            order = present[number % len(present) :] + present[: number % len(present)]
            for size in plan.sizes:
                for each in order:
                    rest.forget()
                    _warm_up(each, folders[each.name][1])
                    _measure_one(found, each, folders[each.name][size], size, heals=size == plan.sizes[0])
            for each in order:
                _measure_reading(found, each, folders[each.name])
            for what, who, value in traffic.measure([traffics[each.name] for each in order]):
                found.values[what, who].append(value)
            print(f"round {number + 1} of {plan.rounds} after {time.monotonic() - began:.0f} s", flush=True)
    finally:
        for each in present:
            each.stop()
    found.took_s = time.monotonic() - began
    return found


def _warm_up(rival: rivals.Rival, folder: pathlib.Path) -> None:
    """What only the first command of all pays for, on either side."""
    for words in (("up", "-d"), ("up", "-d"), ("exec", "-T", "s0", "true"), ("down",)):
        rivals.run(rival, folder, *words)


def _measure_one(found: Found, rival: rivals.Rival, folder: pathlib.Path, size: int, *, heals: bool) -> None:
    """One life of the project: up, nothing to do, used, crashed, down."""

    def note(what: str, value: float) -> None:
        found.values[what, rival.name].append(value)

    memory.settle()
    available, processes = memory.available_kb(), memory.processes_kb()
    rest.come()
    note(f"up {size}", _timed(rival, folder, "up", "-d"))
    born = time.monotonic()
    answers(size - 1)
    for _ in range(NOOPS):
        note(f"noop {size}", _timed(rival, folder, "up", "-d"))
    for _ in range(EXECS):
        note(f"exec {size}", _timed(rival, folder, "exec", "-T", "s0", "true"))
    memory.settle()
    note(f"available {size}", available - memory.available_kb())
    note(f"processes {size}", memory.processes_kb() - processes)
    if heals:
        time.sleep(max(0.0, born + RESTFUL_LIFE_S + 1 - time.monotonic()))
        for seconds in _heals(rival, folder, min(KILLS, size)):
            note(f"heal {size}", seconds)
    rest.come()
    note(f"down {size}", _down(found, rival, folder))


def _measure_reading(found: Found, rival: rivals.Rival, folders: Mapping[int, pathlib.Path]) -> None:
    """What needs no engine."""
    rest.come()
    for _ in range(READS):
        found.values["help", rival.name].append(_timed(rival, folders[1], "--help"))
        for size in READ_SIZES:
            found.values[f"config {size}", rival.name].append(_timed(rival, folders[size], "config"))
    if rival.name == "corral":
        for size in READ_SIZES:
            found.values[f"read {size}", rival.name] += _read(folders[size])


READ = """
import sys, time
from specs import loader
for _ in range(int(sys.argv[1])):
    began = time.perf_counter()
    loader.load(loader.LoadOptions())
    print(time.perf_counter() - began)
"""


def _read(folder: pathlib.Path) -> list[float]:
    """What an `up` does with its files, once Python and its modules are there."""
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).resolve().parent.parent)}
    command = [sys.executable, "-c", READ, str(READS)]
    told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    return [float(line) for line in told.split()]


def _down(found: Found, rival: rivals.Rival, folder: pathlib.Path) -> float:
    """Of docker compose it fails now and then ("network has active endpoints"): then the time of the first try counts, and where
    no other one helps, its daemon is started again."""
    tries = []
    while True:
        began = time.perf_counter()
        try:
            rivals.run(rival, folder, "down")
            return [*tries, time.perf_counter() - began][0]
        except rivals.CommandError as error:
            tries.append(time.perf_counter() - began)
            found.failures.append(str(error).splitlines()[-1])
            if len(tries) == DOWN_TRIES:
                rival.stop()
                rival.start()
            elif len(tries) > DOWN_TRIES:
                raise
            time.sleep(1.0)


def _timed(rival: rivals.Rival, folder: pathlib.Path, *words: str) -> float:
    began = time.perf_counter()
    rivals.run(rival, folder, *words)
    return time.perf_counter() - began


def _heals(rival: rivals.Rival, folder: pathlib.Path, count: int) -> Iterator[float]:
    """Kill the first process of a container; how long until its port answers again."""
    for number in range(count):
        pidfd = os.pidfd_open(rival.pid(folder, f"s{number}"))
        began = time.perf_counter()
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [])
        os.close(pidfd)
        answers(number)
        yield time.perf_counter() - began
        time.sleep(0.5)


def answers(number: int) -> None:
    """Return as soon as the service is reached through its published port."""
    deadline = time.monotonic() + HEAL_S
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", project.port_of(number)), timeout=0.05) as caller:
                caller.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
                if caller.recv(64):
                    return
        except OSError:
            pass
        time.sleep(0.0005)
    raise SystemExit(f"port {project.port_of(number)} does not answer within {HEAL_S:g} s")


def slope_kb(found: Found, what: str, who: str, sizes: list[int]) -> list[float]:
    """Of each round: how much one more container takes."""
    few, many = sizes[0], sizes[-1]
    pairs = zip(found.values[f"{what} {few}", who], found.values[f"{what} {many}", who], strict=True)
    return [(more - less) / (many - few) for less, more in pairs]


def median(values: list[float]) -> float:
    return statistics.median(values)


def fixed_kb(found: Found, what: str, who: str, sizes: list[int]) -> list[float]:
    """Of each round: what a project takes that is none of its containers', by the same two sizes."""
    slopes = slope_kb(found, what, who, sizes)
    return [
        value - sizes[0] * slope for value, slope in zip(found.values[f"{what} {sizes[0]}", who], slopes, strict=True)
    ]
