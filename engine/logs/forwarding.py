"""Sends the output of containers on to syslog or the journal, from where the shims have written it: their logs.

A receiver that is stuck, or gone, or a daemon that is, holds up no container: what was not sent yet is in the log, as far as
that goes back, and is sent later. How far it came is noted in the container's directory (`sent`: the reader's position), after
each batch; a daemon that dies in one sends that one again.
"""

import contextlib
import logging
import os
import platform

import anyio
import anyio.abc

from engine.container import Container
from engine.containers import Containers
from engine.logs import messages, sending
from engine.logs.reading import Reader, Record

log = logging.getLogger(__name__)

POLL_S = 0.1
RETRY_S = 1.0
LAST_S = 2.0
"""How long a container that is removed is kept for what was not sent yet."""
LOST = b"corral: lines are lost: nobody took them before the log went round"


class Forwarding:
    def __init__(self, tasks: anyio.abc.TaskGroup, containers: Containers) -> None:
        self._tasks, self._containers = tasks, containers
        self._ended: dict[str, anyio.Event] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}

    def begin(self, container: Container) -> None:
        """See to it that what the container has written, and will write in this run, is sent."""
        if container.config.logging.forward and container.record.uid not in self._ended:
            self._ended[container.record.uid] = anyio.Event()
            self._tasks.start_soon(self._follow, container)

    async def finish(self, container: Container) -> None:
        """The container is to be removed: what was written is sent, unless it takes too long."""
        uid = container.record.uid
        self.begin(container)
        if uid in self._ended:
            with anyio.move_on_after(LAST_S):
                await self._ended[uid].wait()
            if uid in self._scopes:
                self._scopes[uid].cancel()

    # ---------------------------------------------------------------------------------------------------------- inside

    async def _follow(self, container: Container) -> None:
        uid = container.record.uid
        with anyio.CancelScope() as scope:
            self._scopes[uid] = scope
            try:
                await _Post(container, self._containers.directory(uid)).run()
            except OSError as error:
                log.warning("%s: its output is not sent on: %s", container.config.name, error)
        del self._scopes[uid]
        self._ended.pop(uid).set()


class _Post:
    """What one container has written, on its way; until it has ended and all is sent."""

    def __init__(self, container: Container, directory: str) -> None:
        forward = container.config.logging.forward
        assert forward is not None
        self._container, self._mark = container, os.path.join(directory, "sent")
        self._source = messages.source_of(container.record.uid, container.config, platform.node(), os.getpid())
        self._encode = messages.journal_of if forward.driver == "journald" else messages.syslog_of
        self._sender = sending.Sender(forward)
        self._reader = Reader(os.path.join(directory, "log"), after=_marked(self._mark))
        self._complained = False

    async def run(self) -> None:
        try:
            while True:
                is_over = self._container.process is None
                before = self._reader.position
                records = self._reader.read()
                if records:
                    await self._send(records)
                    self._keep(before)
                elif is_over:
                    return
                else:
                    await anyio.sleep(POLL_S)
        finally:
            self._reader.close()
            self._sender.close()

    async def _send(self, records: list[Record]) -> None:
        if self._reader.has_lost:
            self._reader.has_lost = False
            records = [Record(records[0].time, "stderr", True, LOST), *records]
        for record in records:
            message = self._encode(record, self._source)
            while not await self._sent(message):  # noqa: ASYNC110 - nobody tells when a receiver is back
                await anyio.sleep(RETRY_S)

    async def _sent(self, message: bytes) -> bool:
        try:
            await self._sender.send(message)
        except OSError as error:
            if not self._complained:
                log.warning("%s: nobody takes its output: %s", self._container.config.name, error)
            self._complained = True
            return False
        self._complained = False
        return True

    def _keep(self, before: tuple[str, int]) -> None:
        first, offset = self._reader.position
        if (first, offset) != before:
            descriptor = os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with contextlib.closing(os.fdopen(descriptor, "wb")) as file:
                file.write(f"{first} {offset:020}\n".encode())


def _marked(path: str) -> tuple[str, int] | None:
    try:
        with open(path, encoding="ascii") as file:
            first, offset = file.read().split()
            return first, int(offset)
    except (FileNotFoundError, ValueError):
        return None
