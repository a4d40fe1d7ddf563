"""What a cgroup uses, on whatever mixture of versions the machine has.

Each figure is read where there is a file for it: in the v2 cgroup, which counts CPU time and pressure even where all
controllers are on v1, else in the hierarchy of its v1 controller.
https://docs.kernel.org/admin-guide/cgroup-v2.html https://docs.kernel.org/accounting/psi.html
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from engine.cgroups import setting, v1


@dataclass(frozen=True, slots=True)
class Used:
    """The fields of engine.types.infos.Usage of these names; None: no file says. `memory_limit_bytes` None: it has none."""

    cpu_s: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    io_pressure: float | None = None


def read(v2: str | None, forest: Mapping[str, str]) -> Used:
    """`v2`: the cgroup's directory in the v2 tree; `forest`: its directories by v1 controller."""
    memory = forest.get("memory")
    return Used(
        _cpu_s(v2, forest.get("cpu")),
        _memory_bytes(v2, "memory.current", "inactive_file")
        if _number(v2, "memory.current") is not None
        else _memory_bytes(memory, "memory.usage_in_bytes", "total_inactive_file"),
        _limit_bytes(v2, memory),
        _first(_number(v2, "pids.current"), _number(forest.get("pids"), "pids.current")),
        *(pressure_of(_text(v2, f"{resource}.pressure")) for resource in ("cpu", "memory", "io")),
    )


def _cpu_s(v2: str | None, cpu: str | None) -> float | None:
    """v1 counts it in a hierarchy of its own that is mounted together with `cpu`."""
    used_us = _pairs(_text(v2, "cpu.stat")).get("usage_usec")
    if used_us is not None:
        return used_us / 1e6
    used_ns = _number(cpu, "cpuacct.usage")
    return None if used_ns is None else used_ns / 1e9


def _memory_bytes(directory: str | None, file: str, droppable: str) -> int | None:
    """As docker counts: without the pages of files that nobody has used for a while.  # docker/cli stats_helpers.go"""
    used = _number(directory, file)
    if used is None:
        return None
    idle = _pairs(_text(directory, "memory.stat")).get(droppable, 0)
    return used - idle if idle < used else used


def _limit_bytes(v2: str | None, memory: str | None) -> int | None:
    limit = _first(_number(v2, "memory.max"), _number(memory, "memory.limit_in_bytes"))
    return None if limit is None or limit >= v1.UNLIMITED_BYTES else limit


def pressure_of(text: str) -> float | None:
    """Percent, out of "some avg10=1.23 avg60=…"; None for what is no such text."""
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "some":
            pairs = dict(word.split("=", 1) for word in words)
            return float(pairs["avg10"])
    return None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _number(directory: str | None, file: str) -> int | None:
    text = _text(directory, file)
    return int(text) if text.isdecimal() else None


def _pairs(text: str) -> dict[str, int]:
    return {key: int(value) for key, value in (line.split(" ", 1) for line in text.splitlines())}


def _text(directory: str | None, file: str) -> str:
    """ "" where there is no such file, or it is not for reading: pressure where the kernel does not measure it."""
    if directory is None:
        return ""
    try:
        return setting.read(os.path.join(directory, file))
    except OSError:
        return ""
