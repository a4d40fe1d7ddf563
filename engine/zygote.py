"""The daemon's side of the zygote: start it, let it fork a shim, make that one's sandbox ready.

zygote = Zygote(run_directory)
shim = await zygote.fork_shim(spec)         # engine.shims
"""

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

import anyio

from engine import batch, channel, errors, inside, shims, spawn
from engine.network import netlink
from engine.process import durable, frames, identity, namespaces, syscalls, wire

AT_ONCE = 16
"""Forks that one message asks for. No more than ten messages wait in a socket (net.unix.max_dgram_qlen), and each fork closes the
sockets of those that come after it."""


class Fork(NamedTuple):
    """What `frames.join_fork` gives, and the two sockets of the shim to be. Who gives up closes them."""

    spec: bytes
    first: socket.socket
    listening: socket.socket


class Zygote:
    """The process that forks shims. It is started by `warm` or with the first fork, again whenever it has died, and ends with
    `close` or with the daemon. `missing`: kernel features to do without (`engine.process.syscalls.missing`), for tests. `hold`
    puts it, by its pid, where its shims are to live."""

    def __init__(
        self,
        run_directory: str,
        *,
        missing: frozenset[str] = frozenset(),
        hold: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self.run_directory = run_directory
        self.missing, self._hold = missing, hold
        self._lock = anyio.Lock()
        self._forks = batch.Batch(self._ask)
        self._running: spawn.Child | None = None

    @property
    def pid(self) -> int:
        """Of the running zygote; 0 where none runs."""
        return self._running.pid if self._running is not None else 0

    async def fork_shim(self, spec: wire.SandboxSpec) -> shims.Shim:
        """Fork a shim and wait until its namespaces are furnished and its identity record is durable. After a failure no
        process is left, or it ends at once. Raises `EngineError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs, _bound(spec.directory) as listening:
                await self._forks.do(Fork(frames.join_fork(spec), theirs, listening))
            with anyio.fail_after(shims.REQUEST_S):
                made = await channel.answer(ours, f"make sandbox {spec.project}/{spec.name}")
                await _make_ready(spec, made.pid)
                return await shims.Shim.subscribed(ours, spec.directory)
        except TimeoutError as error:
            ours.close()
            raise errors.EngineError(
                f"cannot make sandbox {spec.project}/{spec.name}: no answer from its shim within {shims.REQUEST_S:g} s"
            ) from error
        except OSError as error:
            ours.close()
            raise errors.EngineError(f"cannot make sandbox {spec.project}/{spec.name}: {error}") from error
        except ValueError as error:
            ours.close()
            raise errors.TerminalEngineError(f"cannot make sandbox {spec.project}/{spec.name}: {error}") from error
        except BaseException:
            ours.close()
            raise

    async def warm(self) -> None:
        """Start it, so that it gets ready while nobody waits for it."""
        async with self._lock:
            if self._running is None:
                self._running = self._spawned()

    def close(self) -> None:
        """End the zygote; its shims live on."""
        if self._running is not None:
            self._running.end()
            self._running = None

    def _spawned(self) -> spawn.Child:
        child = spawn.zygote(self.run_directory, self.missing | syscalls.missing)
        try:
            self._hold(child.pid)
        except BaseException:
            child.end()
            raise
        return child

    async def _ask(self, forks: Sequence[Fork]) -> None:
        for first in range(0, len(forks), AT_ONCE):
            await self._ask_for_some(forks[first : first + AT_ONCE])

    async def _ask_for_some(self, forks: Sequence[Fork]) -> None:
        async with self._lock:
            for _ in range(2):
                if self._running is None:
                    self._running = self._spawned()
                try:
                    await _send(self._running.connection, forks)
                    return
                except (BrokenPipeError, ConnectionResetError):
                    self.close()
            raise errors.EngineError("cannot fork a shim: the zygote ends as soon as it is started")


async def _send(connection: socket.socket, forks: Sequence[Fork]) -> None:
    """Closes the sockets that are sent. Those who gave up, also meanwhile, have closed theirs, whose numbers may be another's."""
    while wanted := [fork for fork in forks if fork.first.fileno() >= 0]:
        descriptors = (each.fileno() for fork in wanted for each in (fork.first, fork.listening))
        try:
            frames.send_raw(connection, frames.join_forks([fork.spec for fork in wanted]), tuple(descriptors))
        except BlockingIOError:
            await anyio.wait_writable(connection)
        else:
            for fork in wanted:  # so that nobody asks again
                fork.first.close()
                fork.listening.close()


def _bound(directory: str) -> socket.socket:
    """A socket at the address of the sandbox's shim, which is root's alone. An address has room for 107 bytes: the directory is
    named by a descriptor."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(wire.SHIM_SOCKET, dir_fd=place)
        bound.bind(f"/proc/self/fd/{place}/{wire.SHIM_SOCKET}")
        os.chmod(wire.SHIM_SOCKET, 0o600, dir_fd=place)
    except BaseException:
        bound.close()
        raise
    finally:
        os.close(place)
    return bound


async def _make_ready(spec: wire.SandboxSpec, pid: int) -> None:
    """Make the new namespaces of a shim what they should be, and record which process it is. Raises `EngineError`, `OSError`,
    ValueError."""

    def furnish() -> None:
        namespaces.furnish(spec)
        if spec.mode != "host":
            netlink.loopback_up()
        durable.write(os.path.join(spec.directory, wire.SHIM_RECORD), who)

    shim = os.pidfd_open(pid)
    try:
        who = identity.of(shim, pid)
        await inside.enter(shim, inside.NETWORK | inside.NAMES, furnish)
    finally:
        os.close(shim)
