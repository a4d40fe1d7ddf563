"""What the engine needs of the machine before it makes anything: its directories, its lock, cgroups, seccomp, netlink."""

import contextlib
import fcntl
import os
import platform
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Self

from engine import errors, seccomp, store
from engine.cgroups import layout
from engine.cgroups.driver import Driver
from engine.confinement import DefaultFilter
from engine.network import bridges
from engine.process.wire import DOCKER_CAPABILITIES


@dataclass(frozen=True, slots=True)
class Machine:
    """`instance` distinguishes corrals that live side by side."""

    instance: str
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
            async with bridges.open_bridges() as links:
                yield cls(
                    instance=instance,
                    cgroups=Driver(layout.detect(cgroup_root), f"corral/{instance}"),
                    links=links,
                    seccomp=_seccomp(run),
                )


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


def _seccomp(run: str) -> DefaultFilter:
    """Compile the default profile into a file that every shim reads."""
    names = frozenset(f"CAP_{name}" for name in DOCKER_CAPABILITIES)
    program = seccomp.compile(seccomp.default_profile(), names, platform.machine())
    found = DefaultFilter(os.path.join(run, "seccomp.bpf"), program)
    store.replace(found.path, program)
    return found
