"""The daemon's side of copies: one process each (`engine.copying.worker`), and what it is told.

Of a container that does not run the worker has the layers mounted: nobody else may mount them meanwhile, so a start, or the
removal, ends it first. Of one that runs it shares the mounts, and disturbs nobody.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping

import anyio
import anyio.abc

from engine import channel, errors, starting
from engine.container import Container
from engine.process import identity, wire
from engine.types.configs import ContainerConfig
from engine.types.parts import BindMount, VolumeMount
from engine.volumes import Content

BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from engine.copying import worker; worker.main(sys.argv[2:])"
SEND_S = 10.0


class Copies:
    """`tasks`: a worker is awaited there until it has ended."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks
        self._at_rest: dict[str, list[subprocess.Popen[bytes]]] = {}

    async def begin(
        self,
        container: Container,
        order: wire.CopyOut | wire.CopyIn,
        *,
        directory: str,
        content: Mapping[str, Content],
    ) -> socket.socket:
        """Start a worker; the answer is a connection on which it says the rest. The caller holds the container's lock."""
        config = container.config
        ids = wire.IdRange(config.ids.first, config.ids.length) if config.ids else None
        if container.process:
            pidfd = identity.reopen(container.process.identity)
            if pidfd is None:
                raise errors.EngineError(f"cannot copy: container {config.name} has just ended")
            try:
                return await self._start(wire.Copy(order, ids=ids), pidfd)
            finally:
                os.close(pidfd)
        copy = wire.Copy(
            order,
            os.path.join(directory, "root"),
            starting.overlays_of(container.record, directory),
            tuple(mounts_of(config, content)),
            config.read_only,
            ids,
        )
        return await self._start(copy, -1, at_rest=container.record.uid)

    async def end(self, uid: str) -> None:
        """Return when nobody has the layers of this container mounted because of a copy."""
        for process in self._at_rest.get(uid, ()):
            process.kill()
        while self._at_rest.get(uid):  # noqa: ASYNC110 - a killed process takes a millisecond
            await anyio.sleep(0.001)

    async def _start(self, copy: wire.Copy, pidfd: int, *, at_rest: str = "") -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                process = _spawn(theirs.fileno(), pidfd)
            if at_rest:
                self._at_rest.setdefault(at_rest, []).append(process)
            self._tasks.start_soon(self._await, process, at_rest)
            with anyio.fail_after(SEND_S):
                await channel.send(ours, wire.Frame(1, copy))
        except BaseException:
            ours.close()
            raise
        return ours

    async def _await(self, process: subprocess.Popen[bytes], at_rest: str) -> None:
        pidfd = os.pidfd_open(process.pid)
        try:
            await anyio.wait_readable(pidfd)
        finally:
            os.close(pidfd)
            process.kill()  # where we are to end ourselves
            process.wait()
            if at_rest:
                self._at_rest[at_rest].remove(process)
                if not self._at_rest[at_rest]:
                    del self._at_rest[at_rest]


def mounts_of(config: ContainerConfig, content: Mapping[str, Content]) -> list[wire.Bind | wire.Volume]:
    """Of the container's mounts those that hold something while it does not run."""
    found: list[wire.Bind | wire.Volume] = []
    for mount in config.mounts:
        match mount:
            case BindMount() if os.path.lexists(mount.source):
                found.append(wire.Bind(mount.source, mount.target, mount.read_only, recursive=mount.recursive))
            case VolumeMount():
                found.append(starting.volume_of(mount, content))
    return found


def _spawn(connection: int, pidfd: int) -> subprocess.Popen[bytes]:
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    words = [sys.executable, "-I", "-S", "-c", BOOT, root, str(connection), str(pidfd), str(os.getpid())]
    return subprocess.Popen(
        words,
        pass_fds=(connection, *((pidfd,) if pidfd >= 0 else ())),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        start_new_session=True,
    )
