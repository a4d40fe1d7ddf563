"""What the engine needs of the machine before it makes anything: its directories, its lock, cgroups, seccomp, netlink."""

import contextlib
import fcntl
import os
import platform
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Self

from engine import errors
from engine.cgroups import layout, scope
from engine.cgroups.driver import Driver
from engine.network import bridges
from engine.process.wire import DOCKER_CAPABILITIES
from engine.records import store
from engine.rights import seccomp
from engine.rights.confinement import DefaultFilter
from engine.zygote import Zygote

SECCOMP_FILE = "seccomp.bpf"


@dataclass(frozen=True, slots=True)
class Machine:
    """`instance` distinguishes corrals that live side by side. `hold` puts a process, by its pid, where those live that are to
    outlive the daemon; the zygote, once started, is there."""

    instance: str
    hold: Callable[[int], None]
    zygote: Zygote
    cgroups: Driver
    links: bridges.Bridges
    seccomp: DefaultFilter

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, root: str, run: str, cgroup_root: str) -> AsyncIterator[Self]:
        """Raises `EngineError` where another process has the state root open."""
        for directory in (root, run):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        for name in ("images", "volumes", "containers"):
            os.makedirs(os.path.join(root, name), mode=0o700, exist_ok=True)
        with _locked(root):
            instance = store.instance_of(root)
            found = layout.detect(cgroup_root)
            is_scoped = scope.is_needed(found)
            own = scope.Scope(found.v2, instance)
            hold = own.hold if is_scoped else _leave
            zygote = Zygote(run, hold=hold)
            if is_scoped:
                await zygote.warm()
                found = layout.detect(cgroup_root, parent=own.parent)
            async with bridges.open_bridges() as links:
                yield cls(
                    instance=instance,
                    hold=hold,
                    zygote=zygote,
                    cgroups=Driver(found, f"corral/{instance}"),
                    links=links,
                    seccomp=_seccomp(run),
                )
            _tidy(run)


def _leave(pid: int) -> None:
    """Where nobody would end it with the daemon."""


@contextlib.contextmanager
def _locked(root: str) -> Iterator[None]:
    descriptor = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise errors.EngineError(f"cannot open {root}: another corral daemon has it") from error
    finally:
        os.close(descriptor)


def _tidy(run: str) -> None:
    """Take away of the run folder what nothing that lives on needs; the next one makes it again."""
    try:
        for kind in ("endpoints", "networks", "sandboxes"):
            os.rmdir(os.path.join(run, kind))
        os.unlink(os.path.join(run, SECCOMP_FILE))
    except OSError:
        pass  # something is in use, or was never made


def _seccomp(run: str) -> DefaultFilter:
    """Compile the default profile into a file that every shim reads."""
    names = frozenset(f"CAP_{name}" for name in DOCKER_CAPABILITIES)
    program = seccomp.compile(seccomp.default_profile(), names, platform.machine())
    found = DefaultFilter(os.path.join(run, SECCOMP_FILE), program)
    store.replace(found.path, program)
    return found
