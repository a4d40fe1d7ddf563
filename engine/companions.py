"""The daemon's side of a small process that does one thing while the daemon may be dead: started where there is none, found again
where there is one, told of news.

    <run>/NAME.sock     where it listens, and says what it cannot do
    <run>/NAME.json     which process it is (`engine.process.identity`): the same one is ended, if it is to end
    <run>/NAME.log      what it complains of

Who listens on NAME.sock is the one process of this run directory. One that does not answer is ended and replaced: everything it
knows is in files, and the sockets that it is asked on are held here for its successor (`engine.fdstore`), if it gives them.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio

from engine import channel, errors
from engine.fdstore import FdStore
from engine.process import frames, identity
from engine.process.wire import Identity
from engine.records import shim_records, store, trusted

log = logging.getLogger(__name__)

TITLE_ROOM = 1024  # bytes of the argument area, which the process overwrites with its title
ANSWER_S = 3.0
START_S = 10.0
LOG_BYTES_MAX = 1 << 20


class Companion:
    """The process NAME of a run directory, whose `main(run_directory)` is in the module `server`. `what` is what it does, for
    errors. `hold` puts it, by its pid, where it is to live. Not for two callers at once."""

    def __init__(
        self, run_directory: str, name: str, server: str, what: str, hold: Callable[[int], None] = lambda pid: None
    ) -> None:
        self._hold = hold
        self._run, self._name, self._what = run_directory, name, what
        package, _, module = server.rpartition(".")
        self._boot = (
            f"import sys; sys.path.insert(0, sys.argv[1]); from {package} import {module}; {module}.main(sys.argv[2])"
        )
        self._child = 0  # its pid, if we are its parent
        self._listener = 0  # who answered last
        self._store = FdStore()
        self._stored: object = None  # what it said of its sockets when those were taken
        self.is_stray = False  # the one that runs is not to be told anything: another one takes its place

    @property
    def is_ours(self) -> bool:
        """Whether we started it, and it runs, as far as we know."""
        return bool(self._child)

    def path(self, ending: str) -> str:
        return os.path.join(self._run, f"{self._name}.{ending}")

    async def ensure(self, prepare: Callable[[], None] = lambda: None) -> None:
        """See that it runs and answers: adopt the one that does, or, after `prepare`, start one. Raises `EngineError`."""
        if not self.is_stray:
            try:
                await self.tell([])
                self._recognize()
                return
            except errors.EngineError as error:
                log.info("starting the %s process: %s", self._name, error)
        await self.end()
        self._clear("sock")
        self.is_stray = False
        prepare()
        self._start()
        with anyio.move_on_after(START_S):
            async for _ in _soon():
                with contextlib.suppress(errors.EngineError):
                    await self.tell([])
                    return
                self._reap()
                if not self._child:
                    break
        raise errors.EngineError(f"cannot start the {self._name} process: see {self.path('log')}")

    async def tell(self, names: Sequence[str] | None) -> dict[str, str]:
        """Say what has changed (None: who knows); give back which of all is not in force, and why."""
        answer = await self._ask(names)
        if answer.get("sockets") != self._stored:
            await self._hold_sockets(answer["sockets"])
        return {str(name): str(why) for name, why in answer["failed"].items()}

    async def _ask(self, names: Sequence[str] | None) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
            connection.setblocking(False)
            try:
                connection.connect(self.path("sock"))
                self._listener = channel.peer_pid(connection)
                connection.send(json.dumps(names).encode())
                with anyio.fail_after(ANSWER_S):
                    await anyio.wait_readable(connection)
                answer = json.loads(connection.recv(1 << 20))
                return {"sockets": answer.get("sockets"), "failed": dict(answer["failed"])}
            except (OSError, TimeoutError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                message = f"cannot {self._what}: the {self._name} process does not answer: {error}"
                raise errors.EngineError(message) from error

    async def _hold_sockets(self, said: object) -> None:
        """Take copies of what it is asked on now. Without them its successor opens others: some questions are refused then."""
        self._stored = None
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
            connection.setblocking(False)
            try:
                connection.connect(self.path("sock"))
                connection.send(b'{"sockets": true}')
                with anyio.fail_after(ANSWER_S):
                    await self._store.take(connection)
                self._stored = said
            except (OSError, TimeoutError, ValueError, TypeError, RecursionError, frames.WireError) as error:
                log.warning("cannot hold the sockets of the %s process: %s", self._name, error)

    async def ended(self) -> None:
        """Return when the process that runs now has ended; at once where none does."""
        found = self._identity()
        pidfd = identity.reopen(found) if found else None
        if pidfd is not None:
            try:
                await anyio.wait_readable(pidfd)
            finally:
                os.close(pidfd)
        self._reap()

    async def end(self) -> None:
        """Kill it. Idempotent."""
        found = self._identity()
        pidfd = identity.reopen(found) if found else None
        if pidfd is not None:
            try:
                if found and (self._is_one(found.pid) or not shim_records.title_of(found.pid)):
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    await anyio.wait_readable(pidfd)
            finally:
                os.close(pidfd)
        self._reap()

    async def stop(self) -> None:
        """End it, and take its files away. Idempotent."""
        await self.end()
        self.close()
        for ending in ("sock", "json", "log"):
            self.forget(ending)

    def close(self) -> None:
        """Let go of it, and of what is held for its successor; it goes on."""
        self._store.close()

    def forget(self, ending: str) -> None:
        """Take a file of it away, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(ending))

    # ------------------------------------------------------------------------------------------------------- inside

    def _start(self) -> None:
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        interpreter = os.path.realpath(sys.executable)
        with contextlib.suppress(OSError):
            found = os.lstat(self.path("log"))
            if found.st_size > LOG_BYTES_MAX or not stat.S_ISREG(found.st_mode):
                os.unlink(self.path("log"))
        gate, go = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with gate, go:
            self._child = os.posix_spawn(
                interpreter,
                [interpreter, "-I", "-S", "-c", self._boot, root, self._run, " " * TITLE_ROOM],
                {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, gate.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, self.path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                ],
                setsid=True,
                setsigmask=[],
            )
            self._hold(self._child)
            self._record(self._child)
            with contextlib.suppress(OSError):
                self._store.give(go)
            go.send(b"\n")  # not before: a daemon killed here leaves nobody whom no record names

    def _record(self, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            content = json.dumps(identity.of(pidfd, pid)._asdict())
        finally:
            os.close(pidfd)
        store.replace(self.path("json"), content.encode())

    def _reap(self) -> None:
        """Take notice of the end of a child of ours."""
        if self._child:
            with contextlib.suppress(ChildProcessError):
                if not os.waitpid(self._child, os.WNOHANG)[0]:
                    return
            self._child = 0

    def _identity(self) -> Identity | None:
        try:
            found = Identity(**trusted.mapping_of(self.path("json")))
        except (OSError, errors.RecordError, TypeError):
            return None
        return found if shim_records.conforms(found) else None

    def _recognize(self) -> None:
        """Record who answered, where the record of it was lost: the kernel knows who listens."""
        if self._identity() is None and self._is_one(self._listener):
            with contextlib.suppress(OSError):
                self._record(self._listener)

    def _is_one(self, pid: int) -> bool:
        """Whether it calls itself so, or is about to: no record must have a stranger killed."""
        return shim_records.title_of(pid).startswith((f"corral {self._name} ", os.path.realpath(sys.executable)))

    def _clear(self, ending: str) -> None:
        """Make place for a file of ours where an empty directory is."""
        with contextlib.suppress(OSError):
            os.rmdir(self.path(ending))


async def _soon() -> AsyncIterator[None]:
    while True:
        yield
        await anyio.sleep(0.005)
