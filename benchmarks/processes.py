"""Whose the room's processes are, and what they take: the nodes', or corral's own, by the name that each of those has."""

import os
import pathlib
import re
import time
from collections import Counter

import memory

NODES = "nodes"
OF_SHIMS = "shims' children"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
IN_CONTAINERS = ("init",)
"""Of corral's own, the one kind whose children are the nodes' and not its own."""

Times = dict[tuple[int, str], tuple[int, int]]
"""Of processes of corral's, by pid and kind: ticks that they took themselves, and those that children which ended did."""


def pss_kb() -> Counter[str]:
    """By "nodes", "daemon", "zygote", "shim" …: shared pages are divided among those who share them."""
    found: Counter[str] = Counter()
    here = _cgroups("self")
    for pid in _pids():
        kind = _kind(pid) or (NODES if _cgroups(pid) != here else "")
        if kind:
            found[kind] += memory.pss_kb(str(pid))
    return found


def busy_percent(seconds: float) -> dict[str, float]:
    """Of a core, by kind of corral's processes: what they take from now on, for so long."""
    before, began = times(), time.monotonic()
    time.sleep(seconds)
    taken, took_s = taken_s(before, times()), time.monotonic() - began
    return {kind: 100 * each_s / took_s for kind, each_s in taken.items()}


def taken_s(before: Times, after: Times) -> dict[str, float]:
    """Between both, by kind. Shims' children are healthchecks, formatting, and the forks that start them."""
    ticks: Counter[str] = Counter()
    for (pid, kind), (own, children) in after.items():
        own_before, children_before = before.get((pid, kind), (0, 0))
        ticks[kind] += own - own_before
        if kind not in IN_CONTAINERS:
            ticks[OF_SHIMS if kind == "shim" else kind] += children - children_before
    return {kind: count / TICKS_PER_S for kind, count in ticks.items()}


def times() -> Times:
    """Of all of corral's that run now."""
    found: Times = {}
    for pid in _pids():
        if kind := _kind(pid):
            fields = _text(pid, "stat").rpartition(")")[2].split()
            if fields:
                user, system, children_user, children_system = map(int, fields[11:15])  # proc(5): 14 to 17
                found[pid, kind] = (user + system, children_user + children_system)
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _kind(pid: int) -> str:
    """Of corral's own processes, as their command line says; "" for others."""
    said = re.match(r"corral ([a-z]+)[ \0]", _text(pid, "cmdline"))
    return said[1] if said else ""


def _cgroups(pid: int | str) -> str:
    return _text(pid, "cgroup")


def _text(pid: int | str, name: str) -> str:
    """ "" of one that has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
