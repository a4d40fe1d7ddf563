"""The daemon's side of the dns process: started where there is none, found again where there is one, told of new tables.

Who listens on `<run>/dns.sock` is the dns process of this run directory; the kernel says which pid that is, and a record of
its identity beside it (`<run>/dns.json`, `engine.process.identity`) says that it is still the same process when it is to end.
A dns process that does not answer is ended and replaced: everything it knows is in files.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio

from engine import errors, store
from engine.process import identity
from engine.process.wire import Identity

log = logging.getLogger(__name__)

BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from engine.dns import server; server.main(sys.argv[2])"
TITLE_ROOM = 1024  # bytes of the argument area, which the process overwrites with its title
PORTS = range(10053, 10353)
"""Where to look for a port of ours on the gateways: below those that the kernel gives to whoever asks for none."""
ANSWER_S = 3.0
START_S = 10.0
LOG_BYTES_MAX = 1 << 20


class DnsProcess:
    """The one dns process of a run directory. All verbs may be repeated. `hold` puts it, by its pid, where it is to live."""

    def __init__(self, run_directory: str, *, hold: Callable[[int], None] = lambda pid: None) -> None:
        self._run, self._hold = run_directory, hold
        self._tables = os.path.join(run_directory, "dns")
        self._lock = anyio.Lock()
        self._port = 0
        self._child = 0  # its pid, if we are its parent
        self._in_step = False  # whether all that is in the files is known to be in force

    @property
    def port(self) -> int:
        """Our port on every network's gateway: chosen once, and free on this machine at that moment."""
        if not self._port:
            try:
                with open(os.path.join(self._run, "dns.port"), encoding="ascii") as file:
                    self._port = int(file.read())
            except (FileNotFoundError, ValueError):
                self._port = _free_port()
        return self._port

    async def start(self) -> None:
        """See that it runs and answers: adopt the one that does, or start one. Raises `EngineError`."""
        async with self._lock:
            await self._ensure()

    async def publish(self, tables: Mapping[str, str]) -> None:
        """Put exactly these tables (text by file name) in force. When this returns, questions are answered from them.
        Raises `EngineError` naming the networks that cannot be served; the others are in force."""
        async with self._lock:
            await self._ensure()
            changed = self._write(tables)
            in_step, self._in_step = self._in_step, False
            failed = await self._tell(changed if in_step else None)
            self._in_step = True
            if failed:
                words = "; ".join(f"{name.removesuffix('.json')}: {why}" for name, why in sorted(failed.items()))
                raise errors.EngineError(f"cannot publish names: {words}")

    async def drift(self, tables: Mapping[str, str]) -> tuple[str, ...]:
        """Say in words what is not in force: the process is gone, a file was changed. One question to the process."""
        async with self._lock:
            try:
                failed = await self._tell([])
            except errors.EngineError:
                return ("the dns process is gone",)
        wrong = [f"names of {name.removesuffix('.json')}: {why}" for name, why in failed.items()]
        wrong += [f"names of {name.removesuffix('.json')} were changed" for name in self._changed(tables)]
        return tuple(wrong)

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

    async def stop(self) -> None:
        """End it, and take its files away. Idempotent."""
        async with self._lock:
            await self._end()
            for name in ("dns.sock", "dns.port", "dns.json", "dns.log"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._run, name))
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(self._tables):
                    os.unlink(os.path.join(self._tables, name))
                os.rmdir(self._tables)

    # ------------------------------------------------------------------------------------------------- files

    def _changed(self, tables: Mapping[str, str]) -> list[str]:
        try:
            present = {name for name in os.listdir(self._tables) if name.endswith(".json")}
        except FileNotFoundError:
            present = set()
        stale = {name for name, text in tables.items() if name not in present or self._text(name) != text}
        return sorted(stale | (present - tables.keys()))

    def _text(self, name: str) -> str:
        with open(os.path.join(self._tables, name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def _write(self, tables: Mapping[str, str]) -> list[str]:
        changed = self._changed(tables)
        for name in changed:
            path = os.path.join(self._tables, name)
            if name in tables:
                _replace(path, tables[name])
            else:
                os.unlink(path)
        return changed

    # ----------------------------------------------------------------------------------------------- process

    async def _ensure(self) -> None:
        os.makedirs(self._tables, mode=0o700, exist_ok=True)
        try:
            await self._tell([])
            return
        except errors.EngineError as error:
            log.info("starting the dns process: %s", error)
        await self._end()
        self._start()
        with anyio.move_on_after(START_S):
            async for _ in _soon():
                with contextlib.suppress(errors.EngineError):
                    await self._tell([])
                    return
                self._reap()
                if not self._child:
                    break
        raise errors.EngineError(f"cannot start the dns process: see {os.path.join(self._run, 'dns.log')}")

    def _start(self) -> None:
        store.replace(os.path.join(self._run, "dns.port"), str(self.port).encode())
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        interpreter = os.path.realpath(sys.executable)
        log_path = os.path.join(self._run, "dns.log")
        with contextlib.suppress(FileNotFoundError):
            if os.stat(log_path).st_size > LOG_BYTES_MAX:
                os.unlink(log_path)
        gate, go = os.pipe2(os.O_CLOEXEC)
        try:
            self._child = os.posix_spawn(
                interpreter,
                [interpreter, "-I", "-S", "-c", BOOT, root, self._run, " " * TITLE_ROOM],
                {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, gate, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                ],
                setsid=True,
                setsigmask=[],
            )
            self._hold(self._child)
            self._record(self._child)
            os.write(go, b"\n")  # not before: a daemon killed here leaves nobody whom no record names
        finally:
            os.close(gate)
            os.close(go)

    def _record(self, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            content = json.dumps(identity.of(pidfd, pid)._asdict())
        finally:
            os.close(pidfd)
        store.replace(os.path.join(self._run, "dns.json"), content.encode())

    async def _end(self) -> None:
        found = self._identity()
        pidfd = identity.reopen(found) if found else None
        if pidfd is not None:
            try:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                await anyio.wait_readable(pidfd)
            finally:
                os.close(pidfd)
        self._reap()

    def _reap(self) -> None:
        """Take notice of the end of a child of ours."""
        if self._child:
            with contextlib.suppress(ChildProcessError):
                if not os.waitpid(self._child, os.WNOHANG)[0]:
                    return
            self._child = 0

    def _identity(self) -> Identity | None:
        try:
            with open(os.path.join(self._run, "dns.json"), encoding="utf-8") as file:
                return Identity(**json.load(file))
        except (OSError, ValueError, TypeError):
            return None

    async def _tell(self, file_names: Sequence[str] | None) -> dict[str, str]:
        """Say which tables have changed (None: who knows); give back which of all are not in force, and why."""
        question = json.dumps(file_names).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
            connection.setblocking(False)
            try:
                connection.connect(os.path.join(self._run, "dns.sock"))
                connection.send(question)
                with anyio.fail_after(ANSWER_S):
                    await anyio.wait_readable(connection)
                failed = json.loads(connection.recv(1 << 20))["failed"]
            except (OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
                raise errors.EngineError(f"cannot publish names: the dns process does not answer: {error}") from error
        return {str(name): str(why) for name, why in failed.items()}


def _replace(path: str, text: str) -> None:
    """Atomically; not durably: a reboot forgets all networks."""
    draft = f"{path}.tmp"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(draft, path)


def _free_port() -> int:
    for port in PORTS:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
            contextlib.suppress(OSError),
        ):
            datagrams.bind(("0.0.0.0", port))
            streams.bind(("0.0.0.0", port))
            return port
    raise errors.EngineError(f"cannot serve names: no port from {PORTS[0]} to {PORTS[-1]} is free")


async def _soon() -> AsyncIterator[None]:
    while True:
        yield
        await anyio.sleep(0.005)
