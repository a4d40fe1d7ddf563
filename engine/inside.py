"""Act in a sandbox's namespaces without a process in them: a thread of the daemon goes in, does something short, and comes back.

A fork of the shim could do it, and did not for its price: 4 ms and 370 pages, twice a millisecond's work.
"""

import os
from collections.abc import Callable

import anyio
import anyio.to_thread

from engine.channel import ShimGone
from engine.process import identity, syscalls
from engine.records import shim_records

NETWORK, NAMES = syscalls.CLONE_NEWNET, syscalls.CLONE_NEWUTS
AT_ONCE = 2
"""Threads: what they do takes the kernel's one lock of all networks, or no time."""

_room: list[anyio.CapacityLimiter] = []


async def act(directory: str, namespaces: int, do: Callable[[], None]) -> None:
    """Run `do` in these namespaces of the sandbox whose shim is recorded in `directory`. Whatever of its thread's it opens or
    changes must be that of the namespaces alone. Raises what `do` raises, and `ShimGone`."""
    recorded = shim_records.identity_of(directory)
    shim = identity.reopen(recorded) if recorded is not None else None
    if shim is None:
        raise ShimGone(f"cannot enter the sandbox in {directory}: its shim is gone")
    try:
        await enter(shim, namespaces, do)
    finally:
        os.close(shim)


async def enter(shim: int, namespaces: int, do: Callable[[], None]) -> None:
    """The same, for the shim behind this pidfd."""
    if not _room:
        _room.append(anyio.CapacityLimiter(AT_ONCE))
    await anyio.to_thread.run_sync(_enter, shim, namespaces, do, limiter=_room[0])


def _enter(shim: int, namespaces: int, do: Callable[[], None]) -> None:
    ours = os.pidfd_open(os.getpid())  # the first thread, which never goes anywhere
    try:
        syscalls.setns(shim, namespaces)
        try:
            do()
        finally:
            _come_back(ours, namespaces)
    except ProcessLookupError as error:
        raise ShimGone("cannot enter a sandbox: its shim is gone") from error
    finally:
        os.close(ours)


def _come_back(ours: int, namespaces: int) -> None:
    """A thread in the wrong place would do everybody's work there."""
    try:
        syscalls.setns(ours, namespaces)
    except OSError:
        os.abort()
