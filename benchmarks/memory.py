"""Memory, as the kernel counts it."""

import os
import re
import time

PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
SETTLE_S = 6.0
"""The kernel frees namespaces, caches and dead processes a little later; corral's shims give memory back after three seconds."""


def settle() -> None:
    time.sleep(SETTLE_S)


def available_kb() -> int:
    """What the whole machine could still give: kernel memory counts, and so does what others do meanwhile. Free pages that each
    processor keeps at hand are free too; MemAvailable leaves them out, and they come and go by hundreds of megabytes."""
    with open("/proc/zoneinfo", encoding="ascii") as file:
        at_hand = sum(map(int, re.findall(r"^\s+count:\s+(\d+)", file.read(), re.MULTILINE)))
    return _field("/proc/meminfo", "MemAvailable") + at_hand * PAGE_KB


def processes_kb() -> int:
    """Of all processes of the room but the benchmark itself: shared pages are divided among those who share them."""
    return sum(pss_kb(pid) for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid()))


def pss_kb(pid: str) -> int:
    try:
        return _field(f"/proc/{pid}/smaps_rollup", "Pss")
    except (OSError, StopIteration):  # it has ended, or is one of the kernel's
        return 0


def _field(path: str, name: str) -> int:
    with open(path, encoding="ascii", errors="replace") as file:
        return int(next(line for line in file if line.startswith(f"{name}:")).split()[1])
