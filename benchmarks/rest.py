"""The machine at rest: what somebody's last command left to do (the kernel takes namespaces away long after their last process) is
not in the time of the next one's."""

import time

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


def _jiffies() -> tuple[int, int]:
    """(idle, all) since the machine began."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return fields[3] + fields[4], sum(fields)  # proc(5): idle, iowait
