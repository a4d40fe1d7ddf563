"""What running containers use: their cgroups' figures, and what only their processes and interfaces tell.

Bytes read and written are those of its living processes and of all whom these have reaped, whatever the cgroup version: the
kernel counts them by process (io.stat needs a controller that we do not switch on). # proc(5), /proc/PID/io
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from engine.cgroups.driver import Driver, Paths
from engine.processes import TICKS_PER_S
from engine.types.infos import Usage

MACHINE_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Meter:
    """Where one container is read. `network_pid`: who is in its network namespace; 0: it has none of its own."""

    uid: str
    cgroup: Paths
    network_pid: int


def read(meters: Iterable[Meter], driver: Driver) -> tuple[Usage, ...]:
    """What each uses, one after the other."""
    return tuple(_usage(meter, driver) for meter in meters)


def _usage(meter: Meter, driver: Driver) -> Usage:
    used, pids = driver.usage(meter.cgroup), driver.pids(meter.cgroup)
    received, sent = traffic(_text(f"/proc/{meter.network_pid}/net/dev") if meter.network_pid else "")
    loaded, stored = storage(_text(f"/proc/{pid}/io") for pid in pids)
    limit = min(used.memory_limit_bytes or MACHINE_BYTES, MACHINE_BYTES)
    return Usage(
        uid=meter.uid,
        at_s=time.monotonic(),
        cpu_s=cpu_time(_text(f"/proc/{pid}/stat") for pid in pids) if used.cpu_s is None else used.cpu_s,
        memory_bytes=used.memory_bytes,
        memory_limit_bytes=None if used.memory_bytes is None else limit,
        pids=len(pids) if used.pids is None else used.pids,
        received_bytes=received,
        sent_bytes=sent,
        read_bytes=loaded,
        written_bytes=stored,
        cpu_pressure=used.cpu_pressure,
        memory_pressure=used.memory_pressure,
        io_pressure=used.io_pressure,
    )


def traffic(text: str) -> tuple[int | None, int | None]:
    """Bytes received and sent through all interfaces but lo, out of /proc/PID/net/dev; None for no text."""
    if not text:
        return None, None
    lines = [line.partition(":") for line in text.splitlines() if ":" in line]
    counters = [counted.split() for name, _, counted in lines if name.strip() != "lo"]
    return sum(int(each[0]) for each in counters), sum(int(each[8]) for each in counters)


def cpu_time(texts: Iterable[str]) -> float:
    """Seconds of CPU, out of the /proc/PID/stat of all processes, with those whom they have reaped: for a v1 machine that counts
    it in a hierarchy of its own, in which we have no cgroup."""
    fields = [text[text.rindex(")") + 2 :].split() for text in texts if text]
    return sum(sum(map(int, each[11:15])) for each in fields) / TICKS_PER_S


def storage(texts: Iterable[str]) -> tuple[int | None, int | None]:
    """Bytes read and written, out of the /proc/PID/io of all processes; None where none can be read."""
    tables = [dict(line.split(": ", 1) for line in text.splitlines()) for text in texts if text]
    if not tables:
        return None, None
    return sum(int(each["read_bytes"]) for each in tables), sum(int(each["write_bytes"]) for each in tables)


def _text(path: str) -> str:
    """ "" for a process that has ended, or a kernel without it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
