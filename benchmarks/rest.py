"""The machine at rest: what somebody's last command left to do (the kernel takes namespaces away long after their last process) is
not in the time of the next one's."""

import os
import time

DROP_CACHES = "/proc/sys/vm/drop_caches"
IDLE_LEAST = 0.95
LOOK_S = 1.0
PATIENCE_S = 20.0


def come() -> None:
    """Return once the processors have been idle for a second, but for a twentieth; or after 20 s in any case."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        before = _jiffies()
        time.sleep(LOOK_S)
        idle, total = (now - then for now, then in zip(_jiffies(), before, strict=True))
        if idle >= IDLE_LEAST * total:
            return


def forget() -> None:
    """Let the kernel let go of the pages that containers before have left in its cache: a memory cgroup stays for as long as
    one of them was its own, and hundreds of such slow each process that comes, whosever it is. Programs are to be read in
    anew afterwards."""
    os.sync()
    with open(DROP_CACHES, "w", encoding="ascii") as file:
        file.write("1")


def _jiffies() -> tuple[int, int]:
    """(idle, all) since the machine began."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return fields[3] + fields[4], sum(fields)  # proc(5): idle, iowait
