"""The processes of containers as /proc shows them to this machine. # proc(5)

All reading is synchronous; a process that ends meanwhile is left out.
"""

import os
import time
from collections.abc import Iterable

from engine.types.infos import ProcessInfo

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PTS_MAJORS = range(136, 144)  # linux Documentation/admin-guide/devices.txt
TTY_MAJOR = 4


def infos(pids: Iterable[int]) -> tuple[ProcessInfo, ...]:
    """What each of them is, by pid."""
    booted_at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    found = (_info(pid, booted_at) for pid in sorted(pids))
    return tuple(info for info in found if info)


def _info(pid: int, booted_at: float) -> ProcessInfo | None:
    try:
        stat = _read(pid, "stat")
        words = _read(pid, "cmdline")
        status = _read(pid, "status")
    except OSError:
        return None
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat[stat.rindex(")") + 2 :].split()  # from the third one on, which is the state
    return ProcessInfo(
        pid=pid,
        parent=int(fields[1]),
        user=int(_value(status, "Uid").split()[1]),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
        started_at=booted_at + int(fields[19]) / TICKS_PER_S,
        terminal=terminal_of(int(fields[4])),
        command=words.rstrip("\0").replace("\0", " ") or f"[{name}]",
    )


def terminal_of(number: int) -> str:
    """The name of a terminal by its device number in `stat`."""
    major, minor = os.major(number), os.minor(number)
    if major in PTS_MAJORS:
        return f"pts/{minor + 256 * (major - PTS_MAJORS[0])}"
    return f"tty{minor}" if major == TTY_MAJOR else ""


def _read(pid: int, file: str) -> str:
    with open(f"/proc/{pid}/{file}", "rb") as opened:
        return opened.read().decode(errors="replace")


def _value(text: str, name: str) -> str:
    return next((line.partition(":")[2] for line in text.splitlines() if line.startswith(f"{name}:")), "")
