"""The daemon's side of the dns process: told of new tables, which are files (`engine.companions`)."""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping

import anyio

from engine import errors
from engine.companions import Companion
from engine.records import store, trusted

log = logging.getLogger(__name__)

PORTS = range(10053, 10353)
"""Where to look for a port of ours on the gateways: below those that the kernel gives to whoever asks for none."""
TABLE_BYTES_MAX = 16 << 20


class DnsProcess:
    """The one dns process of a run directory. All verbs may be repeated."""

    def __init__(self, run_directory: str, *, hold: Callable[[int], None] = lambda pid: None) -> None:
        self._run = run_directory
        self._tables = os.path.join(run_directory, "dns")
        self._lock = anyio.Lock()
        self._port = 0
        self._process = Companion(run_directory, "dns", "engine.dns.server", "publish names", hold)
        self._in_step = False  # whether all that is in the files is known to be in force

    @property
    def port(self) -> int:
        """Our port on every network's gateway: chosen once, and free on this machine at that moment."""
        if not self._port:
            self._port = self._recorded_port() or _free_port()
        return self._port

    def _recorded_port(self) -> int:
        """0: none, or none that we would have chosen."""
        path = self._process.path("port")
        try:
            found = int(trusted.content(path, 64))
        except FileNotFoundError:
            return 0
        except (errors.RecordError, ValueError) as error:
            log.warning("cannot read %s: %s", path, error)
            found = 0
        self._process.is_stray = found not in PORTS  # whoever runs listens elsewhere
        return found if found in PORTS else 0

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
            failed = await self._process.tell(changed if in_step else None)
            if failed and not self._process.is_ours:  # found, not started by us: it may not know what we write
                await self._process.end()
                await self._ensure()
                failed = await self._process.tell(None)
            self._in_step = True
            if failed:
                words = "; ".join(f"{name.removesuffix('.json')}: {why}" for name, why in sorted(failed.items()))
                raise errors.EngineError(f"cannot publish names: {words}")

    async def drift(self, tables: Mapping[str, str]) -> tuple[str, ...]:
        """Say in words what is not in force: the process is gone, a file was changed. One question to the process."""
        async with self._lock:
            try:
                failed = await self._process.tell([])
            except errors.EngineError:
                return ("the dns process is gone",)
        wrong = [f"names of {name.removesuffix('.json')}: {why}" for name, why in failed.items()]
        wrong += [f"names of {name.removesuffix('.json')} were changed" for name in self._changed(tables)]
        return tuple(wrong)

    async def ended(self) -> None:
        """Return when the process that runs now has ended; at once where none does."""
        await self._process.ended()

    async def stop(self) -> None:
        """End it, and take its files away. Idempotent."""
        async with self._lock:
            await self._process.stop()
            self._process.forget("port")
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(self._tables):
                    os.unlink(os.path.join(self._tables, name))
                os.rmdir(self._tables)

    def close(self) -> None:
        """Let go of it; it goes on."""
        self._process.close()

    async def _ensure(self) -> None:
        os.makedirs(self._tables, mode=0o700, exist_ok=True)
        await self._process.ensure(lambda: store.replace(self._process.path("port"), str(self.port).encode()))

    # ------------------------------------------------------------------------------------------------- files

    def _changed(self, tables: Mapping[str, str]) -> list[str]:
        try:
            present = {name for name in os.listdir(self._tables) if name.endswith(".json")}
        except FileNotFoundError:
            present = set()
        stale = {name for name, text in tables.items() if name not in present or self._text(name) != text}
        return sorted(stale | (present - tables.keys()))

    def _text(self, name: str) -> str | None:
        try:
            return trusted.content(os.path.join(self._tables, name), TABLE_BYTES_MAX).decode(errors="replace")
        except (errors.RecordError, FileNotFoundError):
            return None

    def _write(self, tables: Mapping[str, str]) -> list[str]:
        changed = self._changed(tables)
        for name in changed:
            path = os.path.join(self._tables, name)
            try:
                self._clear(path)
                if name in tables:
                    _replace(path, tables[name])
                else:
                    os.unlink(path)
            except OSError as error:  # the others are served all the same
                log.warning("cannot write %s: %s", path, error)
        return changed

    def _clear(self, path: str) -> None:
        """Make place for a file of ours where an empty directory is."""
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _replace(path: str, text: str) -> None:
    """Atomically; not durably: a reboot forgets all networks."""
    draft = f"{path}.tmp"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(draft, path)


def _free_port() -> int:
    for port in PORTS:
        # who listens on [::] is on 0.0.0.0 too
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
            contextlib.suppress(OSError),
        ):
            datagrams.bind(("0.0.0.0", port))
            streams.bind(("0.0.0.0", port))
            return port
    raise errors.EngineError(f"cannot serve names: no port from {PORTS[0]} to {PORTS[-1]} is free")
