"""A daemon in a thread, with an engine in memory; the commands are run as a user does, over its socket."""

import io
import json
import os
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import pytest

from engine.api import Engine
from orchestrator import client, settings
from orchestrator.command_line import cli
from orchestrator.daemon import daemon
from reconciler.fake import FakeEngine


class Lab:
    """A project folder, a daemon that can be killed and reborn, and the command line. The engine outlives the daemon."""

    def __init__(self, top: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = top / "demo"
        self.folder.mkdir()
        self.places = settings.Places(str(top / "root"), str(top / "run"))
        for place in self.places:
            os.mkdir(place)
        self.engine = FakeEngine(time.time)
        self._portal: anyio.from_thread.BlockingPortal | None = None
        monkeypatch.chdir(self.folder)
        for name in list(os.environ):
            if name.startswith(("COMPOSE_", "CORRAL_")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("CORRAL_ROOT", self.places.root)
        monkeypatch.setenv("CORRAL_RUN", self.places.run)

    def write(self, text: str, name: str = "compose.yaml") -> None:
        (self.folder / name).write_text(text)

    def corral(self, *argv: str, code: int | None = 0) -> tuple[str, str]:
        """Run one command; what it wrote. Its exit code must be `code` (None: any)."""
        out, err = io.StringIO(), io.StringIO()
        found = cli.run(argv, out, err)
        assert code in (None, found), f"corral {' '.join(argv)}: {found}\n{out.getvalue()}\n{err.getvalue()}"
        return out.getvalue(), err.getvalue()

    def code(self, *argv: str) -> int:
        """Run one command, for example in a thread; its exit code."""
        return cli.run(argv, io.StringIO(), io.StringIO())

    @asynccontextmanager
    async def _open_engine(self, places: settings.Places, access: settings.Access) -> AsyncIterator[Engine]:
        yield self.engine

    def start(self) -> None:
        """Begin a daemon, and wait until it answers."""
        self._context = anyio.from_thread.start_blocking_portal("asyncio")
        self._portal = self._context.__enter__()
        self._ending = self._portal.call(anyio.Event)
        self._done = self._portal.start_task_soon(
            daemon.live, self._open_engine, self.places, settings.Access(), self._ending
        )
        eventually(lambda: self._done.done() or client.answers(self.places.socket))

    def stop(self) -> None:
        """End it as `corral daemon stop` does."""
        assert self._portal
        self._portal.call(self._ending.set)
        self._done.result(timeout=10)
        self._leave()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._done.cancel()
        self._leave()

    def _leave(self) -> None:
        self._context.__exit__(None, None, None)
        self._portal = None

    @property
    def lives(self) -> bool:
        return self._portal is not None


def eventually(check: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


TWO = """
services:
  web:
    image: "rootfs:/srv/root"
    command: [serve, --port, "80"]
    ports: ["8080:80"]
    depends_on: [db]
  db:
    image: "rootfs:/srv/root"
    command: keep
"""


def rows(lab: Lab, *flags: str) -> dict[str, dict[str, Any]]:
    out, _ = lab.corral("ps", "-a", "--format", "json", *flags)
    return {row["Service"]: row for row in map(json.loads, out.splitlines())}
