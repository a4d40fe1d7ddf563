"""SIGKILL for all that a listing names, safe against reused pids and against forks during the listing."""

import os
import signal
import time
from collections.abc import Callable

PATIENCE_S = 0.1
_STEP_S = 0.001


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Poll until the condition holds; False if it does not in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_STEP_S)
    return True


def kill(listing: Callable[[], frozenset[int]], spare: frozenset[int] = frozenset()) -> None:
    """Send SIGKILL to each process that the listing names before and after it was pinned down by a pidfd."""
    pinned: dict[int, int] = {}
    try:
        for pid in listing() - spare - {0}:
            try:
                pinned[pid] = os.pidfd_open(pid)
            except OSError:
                continue  # it has ended
        still_listed = listing()
        for pid, descriptor in pinned.items():
            if pid in still_listed:
                _send(descriptor)
    finally:
        for descriptor in pinned.values():
            os.close(descriptor)


def _send(descriptor: int) -> None:
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        pass
