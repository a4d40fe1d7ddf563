"""Namespaces that a container shares with another one, or with the machine.

What it joins is a run: of that container, since when. When the first process of a pid namespace ends, the kernel ends all others
in it, and reaps the first one last. So whoever was killed while the other was ending, or just before its end was recorded, was
taken along by it."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine import errors
from engine.process import identity, wire
from engine.types.configs import ContainerConfig
from engine.types.infos import Joined
from engine.types.parts import Of, Scope

if TYPE_CHECKING:
    from engine.container import Container

KILLED = 128 + 9
LATER_S = 5.0
"""So long after the last of the others its first process may be recorded to have ended."""
PF_EXITING = 0x4  # linux/sched.h

InSlot = Callable[[str], "Container | None"]
"""The container in another slot of the same project."""


def joined(config: ContainerConfig, in_slot: InSlot) -> tuple[Joined, ...]:
    """The runs whose namespaces it is in when it starts now. Raises `EngineError` where one does not run."""
    return tuple(_joined(config, name, in_slot) for name in config.namespaces.others)


def _joined(config: ContainerConfig, name: str, in_slot: InSlot) -> Joined:
    other = in_slot(name)
    if other is None or other.process is None or other.run is None:
        raise errors.EngineError(
            f"cannot start container {config.name}: {name}, whose namespace it shares, does not run"
        )
    return Joined(name, other.record.uid, other.run.started_at)


def namespaces_of(config: ContainerConfig, in_slot: InSlot) -> wire.Namespaces:
    """As a shim is told, with the processes that have them now."""
    asked = config.namespaces

    def first_of(scope: Scope | Of) -> wire.Identity | None:
        other = in_slot(scope.slot) if isinstance(scope, Of) else None
        return other.process.identity if other and other.process else None

    return wire.Namespaces(
        own_pid=asked.pid is Scope.OWN,
        own_ipc=asked.ipc in (Scope.OWN, Scope.NONE),
        own_cgroup=asked.cgroup is Scope.OWN,
        shared_memory=asked.ipc is not Scope.NONE,
        pid_of=first_of(asked.pid),
        ipc_of=first_of(asked.ipc),
        uts_of=_daemon() if asked.uts is Scope.HOST else None,
    )


def _daemon() -> wire.Identity:
    """This process: it is in the machine's uts namespace, and a shim is not."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        return identity.of(pidfd, os.getpid())
    finally:
        os.close(pidfd)


def was_taken_along(container: "Container", find: Callable[[str], "Container | None"], *, just_now: bool) -> bool:
    """Whether its last run ended because the pid namespace did that it was in. `just_now`: its end has just been heard of."""
    run, ended, scope = container.run, container.exit, container.config.namespaces.pid
    if run is None or ended is None or not isinstance(scope, Of) or ended.code != KILLED or ended.planned or ended.oom:
        return False
    there = next((each for each in run.joined if each.slot == scope.slot), None)
    other = find(there.uid) if there else None
    if there is None or other is None or other.run is None:
        return False
    if other.run.started_at != there.started_at:
        return just_now  # it has been started again meanwhile
    if other.process is not None:
        return is_exiting(other.process.identity)
    return other.exit is None or -1.0 <= other.ended_at - ended.ended_at <= LATER_S


def is_exiting(who: wire.Identity) -> bool:
    """Whether this process is gone, or ends: its first thread is on its way out, whatever it still waits for. # proc(5), flags"""
    pidfd = identity.reopen(who)
    if pidfd is None:
        return True
    os.close(pidfd)
    try:
        with open(f"/proc/{who.pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return True
    return bool(int(fields[6]) & PF_EXITING)
