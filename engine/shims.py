"""The daemon's side of shims: talk to one, adopt it again, end it.

    shim = await zygote.fork_shim(spec)         # or: shim = await adopt(sandbox_directory)
    task_group.start_soon(shim.run)             # carries answers and exits until the shim is gone
    await shim.start(spec)
    async for exit in shim.exits(): ...         # ends when the shim is gone

Requests of one shim may run concurrently. They raise `TerminalEngineError` or `EngineError` with the shim's words, and
`ShimGone` when it dies before it answers: then its sandbox and all processes in it are gone or going.
"""

import contextlib
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import anyio

from engine import channel, errors
from engine.channel import ShimGone
from engine.process import birth, frames, identity, killing, wire
from engine.records import shim_records
from engine.session import Session

log = logging.getLogger(__name__)

REQUEST_S = 30.0
ADOPT_S = 10.0
TITLE = "corral shim "
START_S = 600.0  # a copy-up of a large image directory is inside


class Exits(AsyncIterator[wire.Exit]):
    """What came and was not read yet; then what comes."""

    def __init__(self) -> None:
        self._waiting = deque[wire.Exit]()
        self._news = anyio.Event()
        self._over = False

    def put(self, found: wire.Exit) -> None:
        self._waiting.append(found)
        self._news.set()

    def end(self) -> None:
        self._over = True
        self._news.set()

    async def __anext__(self) -> wire.Exit:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        return self._waiting.popleft()


def _born_in(spec: wire.StartSpec) -> str | None:
    place = spec.cgroups.v2
    is_plain = place.isascii() and place.isprintable() and not {'"', "\\"} & set(place)
    return place if is_plain and birth.can_be_first(spec) else None


class Shim:
    """A connection to one shim. `listing`: what it had when this connection began."""

    def __init__(self, connection: socket.socket, directory: str, listing: wire.Listing) -> None:
        self.directory = directory
        self.listing = listing
        self._connection = connection
        self._sending = anyio.Lock()
        self._waiting: dict[int, tuple[anyio.Event, list[Any]]] = {}
        self._number = 1
        self._gone = False
        self._exits = Exits()

    @classmethod
    async def subscribed(cls, connection: socket.socket, directory: str) -> Self:
        await channel.send(connection, wire.Frame(1, wire.Subscribe()))
        listing = await channel.answer(connection, f"ask the shim in {directory}")
        if not isinstance(listing, wire.Listing) or not shim_records.conforms(listing):
            raise errors.EngineError(f"cannot ask the shim in {directory}: what it says is no listing")
        return cls(connection, directory, listing)

    def close(self) -> None:
        """Hang up; for who does not `run` it."""
        self._connection.close()

    async def run(self) -> None:
        """Carry answers and exits until the shim is gone; then every waiting request fails and `exits` ends."""
        try:
            while True:
                try:
                    received = await channel.receive(self._connection)
                except frames.WireError as error:  # each datagram stands for itself
                    log.warning("the shim of %s says what nobody understands: %s", self.directory, error)
                    continue
                if received is None:
                    return
                self._take(*received)
        finally:
            self._gone = True
            self._exits.end()
            for event, _ in self._waiting.values():
                event.set()
            self._connection.close()

    def exits(self) -> AsyncIterator[wire.Exit]:
        """Yield the exits of this sandbox's containers, each after its record is durable; each once, to whoever reads."""
        return self._exits

    # ------------------------------------------------------------------------------------------------------- requests

    async def start(self, spec: wire.StartSpec) -> wire.Process:
        """Start a container; returns when its program has been executed. After a failure nothing of it runs."""
        started: wire.Started = await self._request(wire.Start(_born_in(spec), spec), START_S)
        return started.process

    async def signal(self, container: str, number: int) -> None:
        await self._request(wire.Signal(container, number))

    async def stop(self, container: str, number: int, grace_s: float) -> wire.Exit | None:
        """Stop it as planned, and return its exit once it is dead; None where it never ran here. One that had exited before
        keeps its exit as it was."""
        stopped: wire.Stopped = await self._request(wire.Stop(container, number, grace_s), grace_s + REQUEST_S)
        return stopped.exit

    async def hold(self, key: str, descriptors: Sequence[int]) -> None:
        """Let the shim keep copies of these descriptors; ours stay ours."""
        await self._request(wire.Hold(key), descriptors=tuple(descriptors))

    async def release(self, keys: Sequence[str]) -> None:
        await self._request(wire.Release(tuple(keys)))

    async def list(self) -> wire.Listing:
        listing: wire.Listing = await self._request(wire.List())
        return listing

    async def quit(self) -> None:
        """Kill what runs in it, with records written, and end it."""
        with contextlib.suppress(ShimGone):
            await self._request(wire.Quit())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.directory, wire.SHIM_SOCKET))

    # ----------------------------------------------------------------------------------------------------------- exec

    async def session(self, spec: wire.ExecSpec) -> socket.socket:
        """Begin a command on a connection of its own, which its holder reads (`engine.process.frames`): ExecStarted with the
        streams' descriptors, or Failed; then ExecEnded. Frame number 1. Closing it ends the command, unless `detached`."""
        try:
            connection = await channel.connect(self.directory)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            place = os.path.join(self.directory, wire.SHIM_SOCKET)
            raise errors.EngineError(f"cannot reach the shim at {place}: {error.strerror}") from error
        try:
            await channel.send(connection, wire.Frame(1, wire.Exec(spec)))
        except BaseException:
            connection.close()
            raise
        return connection

    async def attach(self, container: str, *, to_next: bool = False) -> socket.socket:
        """Attach to a container on a connection of its own, which its holder reads: Attached, or Failed, and the container's
        exit. Frame number 1. `to_next`: see `wire.Attach`."""
        connection = await channel.connect(self.directory)
        try:
            await channel.send(connection, wire.Frame(1, wire.Attach(container, to_next)))
            if to_next:
                with anyio.fail_after(REQUEST_S):
                    await channel.answer(connection, "attach to a container")
        except BaseException:
            connection.close()
            raise
        return connection

    async def exec(self, spec: wire.ExecSpec) -> Session:
        """Begin a command and wait until it was executed."""
        connection = await self.session(spec)
        try:
            with anyio.fail_after(REQUEST_S):
                started, descriptors = await channel.answer_with_descriptors(connection, f"run {spec.argv[0]}")
        except BaseException:
            connection.close()
            raise
        return Session(connection, started.pid, descriptors)

    # ----------------------------------------------------------------------------------------------------------- inside

    def _take(self, frame: wire.Frame, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(frame.body, wire.Exited):
            if shim_records.conforms(frame.body):
                self._exits.put(frame.body.exit)
        elif isinstance(frame.number, int) and frame.number in self._waiting:
            event, answers = self._waiting[frame.number]
            answers.append(frame.body)
            event.set()

    async def _request(self, body: Any, timeout_s: float = REQUEST_S, descriptors: tuple[int, ...] = ()) -> Any:
        if self._gone:
            raise ShimGone(f"cannot ask the shim in {self.directory}: it is gone")
        self._number += 1
        number, event, answers = self._number, anyio.Event(), list[Any]()
        self._waiting[number] = (event, answers)
        what = f"{type(body).__name__.lower()} in the shim of {self.directory}"
        try:
            with anyio.fail_after(timeout_s):
                async with self._sending:
                    await channel.send(self._connection, wire.Frame(number, body), descriptors)
                await event.wait()
        except TimeoutError as error:
            raise errors.EngineError(f"cannot {what}: no answer within {timeout_s:g} s") from error
        except OSError as error:
            raise ShimGone(f"cannot {what}: it is gone") from error
        finally:
            del self._waiting[number]
        if not answers:
            raise ShimGone(f"cannot {what}: it died before it answered")
        found = channel.success(answers[0])
        if not hasattr(found, "_fields") or not shim_records.conforms(found):
            raise errors.EngineError(f"cannot {what}: its answer is none")
        return found


# ------------------------------------------------------------------------------------------------------------ adoption


async def adopt(directory: str) -> Shim | None:
    """Connect to the living shim of a sandbox, verified to be the recorded process; None: it is gone. Raises `EngineError` where
    it lives and cannot be had: then nothing was done to it."""
    recorded = shim_records.identity_of(directory)
    pidfd = identity.reopen(recorded) if recorded is not None else None
    if recorded is None or pidfd is None:
        if pid := await listener(directory):
            said = "names another process" if recorded else "is gone"
            record = os.path.join(directory, wire.SHIM_RECORD)
            raise errors.RecordError(f"cannot read {record}: it {said}, and process {pid} listens on the shim's socket")
        return None
    try:
        connection = await channel.connect(directory)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        if identity.has_ended(pidfd):
            return None
        place = os.path.join(directory, wire.SHIM_SOCKET)
        raise errors.EngineError(f"cannot reach the shim {recorded.pid} at {place}: {error.strerror}") from error
    finally:
        os.close(pidfd)
    try:
        with anyio.fail_after(ADOPT_S):
            if channel.peer_pid(connection) != recorded.pid:
                raise errors.EngineError(f"cannot adopt the shim of {directory}: another process listens on its socket")
            return await Shim.subscribed(connection, directory)
    except ShimGone:
        connection.close()
        return None
    except TimeoutError as error:
        connection.close()
        raise errors.EngineError(
            f"cannot adopt the shim {recorded.pid} of {directory}: no answer within {ADOPT_S:g} s"
        ) from error
    except BaseException:
        connection.close()
        raise


async def listener(directory: str) -> int:
    """Who listens on the socket of a sandbox; 0: nobody."""
    try:
        with anyio.fail_after(ADOPT_S):
            connection = await channel.connect(directory)
    except (OSError, TimeoutError):
        return 0
    with connection:
        return channel.peer_pid(connection)


async def living(directory: str) -> int:
    """The pid of a sandbox's shim, by its record or by its socket; 0: none lives."""
    with contextlib.suppress(errors.RecordError):
        recorded = shim_records.identity_of(directory)
        pidfd = identity.reopen(recorded) if recorded is not None else None
        if recorded is not None and pidfd is not None:
            os.close(pidfd)
            return recorded.pid
    return await listener(directory)


def project_of(pid: int) -> str:
    """The project of a living shim, as it calls itself; "": it is none."""
    title = shim_records.title_of(pid)
    return title.removeprefix(TITLE).partition("/")[0] if title.startswith(TITLE) else ""


async def end(directory: str, cgroups: Sequence[wire.Cgroups] = (), timeout_s: float = 10.0) -> None:
    """Kill a sandbox's shim, and with it everything in these cgroups; returns when all are dead. Records stay; repeating it is
    harmless. For a shim that no longer answers; `Shim.quit` is the polite way. Who does not call himself a
    shim is not killed, however sensible the record looks that names him."""
    recorded = shim_records.identity_of(directory)
    pidfd = identity.reopen(recorded) if recorded is not None else None
    try:
        with anyio.fail_after(timeout_s):
            if recorded is not None and pidfd is not None and not identity.has_ended(pidfd):
                title = shim_records.title_of(recorded.pid)  # "": it is just ending, and has no memory any more
                if title and not title.startswith(TITLE):
                    raise errors.RecordError(
                        f"cannot end the sandbox in {directory}: {wire.SHIM_RECORD} names {recorded.pid}, which is no shim"
                    )
                if title:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                await anyio.wait_readable(pidfd)
            for group in cgroups:
                await _empty(group)
    except TimeoutError as error:
        raise errors.EngineError(f"cannot end the sandbox in {directory}: still alive after {timeout_s:g} s") from error
    finally:
        if pidfd is not None:
            os.close(pidfd)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, wire.SHIM_SOCKET))


async def _empty(cgroups: wire.Cgroups) -> None:
    """Kill all processes in a container's cgroups, and wait until they have left."""
    while killing.kill_all(cgroups):  # noqa: ASYNC110  # the kernel has no word for an empty v1 cgroup
        await anyio.sleep(0.005)
