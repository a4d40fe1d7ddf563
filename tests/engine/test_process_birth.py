"""What a shim does when a child that prepares itself, a container's first process or a command, does not get far."""

import contextlib
import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from engine import errors
from engine.process import birth, children, frames, running, syscalls, wire
from engine.process.commands import Command
from engine.process.connections import Connection
from engine.process.frames import Socket
from engine.process.loop import Loop
from tests.engine import process_kit

pytestmark = pytest.mark.root


class Told:
    """A start in a shim of its own, which is this process. `worked`: what a worker was asked for."""

    def __init__(self, directory: Path, jobs: running.Jobs, born_in: str | None = "") -> None:
        self.loop, self.started, self.failed = Loop(), list[bytes](), list[bytes]()
        spec = wire.StartSpec("c1", "1", str(directory), str(directory), str(directory / "log"), ("true",), ())
        self.running = running.Running(
            self.loop,
            frames.encode(wire.Frame(1, wire.Start(born_in, spec))),
            jobs,
            executed=lambda: self.started.append(b"executed"),
            started=self.started.append,
            failed=self.failed.append,
            ended=self.started.append,
        )

    def wait(self) -> str:
        """Give the words of its failure."""
        while not self.failed:
            self.loop.turn()
        assert not self.started
        self.loop.close()
        words: str = json.loads(self.failed[0])["message"]
        return words


def refuse(_report: Socket, _data: bytes) -> None:
    raise OSError("a worker was asked")


def jobs(first: running.First) -> running.Jobs:
    return running.Jobs(first, refuse, lambda *_: os._exit(1))


def die(_channel: Socket, _data: bytes, _entered: bool) -> NoReturn:
    os._exit(3)


def hang(channel: Socket, data: bytes, _entered: bool) -> NoReturn:
    """Be recorded, and get no further."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    spec: wire.StartSpec = frames.decode(data).body.spec
    Path(spec.run_directory, wire.PROCESS_RECORD).write_text("{}")
    while True:
        signal.pause()


def fail(channel: Socket, _data: bytes, _entered: bool) -> NoReturn:
    """Fail at the very last, as a program does that cannot be executed."""
    frames.send_raw(channel, birth.STARTED)
    frames.send_raw(channel, children.PREPARED)
    frames.send(channel, wire.Frame(0, wire.Failed("no such program")))
    frames.receive_raw(channel)
    os._exit(127)


@pytest.mark.parametrize("first", [die, fail])
def test_a_worker_finds_out_what_is_wrong(tmp_path: Path, first: running.First) -> None:
    assert "a worker was asked" in Told(tmp_path, jobs(first)).wait()


@pytest.mark.parametrize("born_in", [None, "/sys/fs/cgroup/none/such"])
def test_a_worker_starts_whom_the_shim_cannot_clone(tmp_path: Path, born_in: str | None) -> None:
    assert "a worker was asked" in Told(tmp_path, jobs(die), born_in).wait()


def test_one_that_is_stopped_on_its_way_leaves_no_record(tmp_path: Path) -> None:
    before = process_kit.descendants(os.getpid())
    told = Told(tmp_path, jobs(hang))
    record = tmp_path / wire.PROCESS_RECORD
    process_kit.eventually(record.exists)
    told.running.stop(signal.SIGTERM, 100)
    assert "died while it was being set up" in told.wait()
    assert not record.exists()
    assert process_kit.descendants(os.getpid()) == before


class Asked:
    """A command in a shim, which is this process; each of its `joins` is a child's life. `said`: what the client was told."""

    def __init__(self, *joins: Callable[[Socket], None]) -> None:
        self.loop, self.groups, self.said = Loop(), list[str](), list[dict[str, object]]()
        self._joins = list(joins)
        self.client, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection = Connection(self.loop, Socket(fileno=ours.detach()), lambda *_: None)
        self.command = Command(self.loop, self.connection, 7, self._bear, V2)

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.connection.close()
        self.loop.close()

    def _bear(self, cgroup_v2: str) -> children.Child:
        self.groups.append(cgroup_v2)
        join = self._joins.pop(0)

        def body(channel: Socket, _entered: bool) -> NoReturn:
            try:
                syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
                join(channel)
            finally:
                os._exit(3)

        return children.clone(0, "", (), body)._replace(entered=bool(cgroup_v2))

    def hear(self, count: int) -> list[dict[str, object]]:
        self.client.setblocking(False)
        while len(self.said) < count:
            with contextlib.suppress(BlockingIOError):
                data, descriptors = frames.receive_raw(self.client) or (b"", [])
                frames.close_all(descriptors)
                assert frames.head(data)[0] == 7
                self.said.append(frames.fields(data))
                continue
            self.loop.turn()
        return self.said


V2 = "/sys/fs/cgroup/a"


def prepared(channel: Socket) -> None:
    """Execute something that ends with 3, as far as the shim can see."""
    frames.send_raw(channel, b"-")
    frames.send_raw(channel, children.PREPARED)
    frames.receive_raw(channel)  # Go


def stopped(channel: Socket) -> None:
    """What root in the container can do to whoever comes in."""
    frames.send_raw(channel, b"-")
    os.kill(os.getpid(), signal.SIGSTOP)


def refused(channel: Socket) -> None:
    """Say why and end, with the Go unread."""
    frames.send(channel, wire.Frame(0, wire.Failed("no such program", terminal=True)))


def test_a_command_ends_with_its_code() -> None:
    with Asked(prepared) as asked:
        started, ended = asked.hear(2)
        assert (started["is"], ended) == ("ExecStarted", {"is": "ExecEnded", "code": 3})
        assert asked.groups == [V2]


def test_a_command_that_dies_at_birth_is_born_again_outside_of_the_cgroup() -> None:
    with Asked(lambda _: None, prepared) as asked:
        assert [each["is"] for each in asked.hear(2)] == ["ExecStarted", "ExecEnded"]
        assert asked.groups == [V2, ""]


def test_a_command_that_dies_at_birth_twice_is_said() -> None:
    with Asked(lambda _: None, lambda _: None) as asked:
        (failed,) = asked.hear(1)
        assert "died while it was being set up" in str(failed["message"])


def test_a_command_in_a_container_that_is_ending_is_refused_in_words() -> None:
    def bear(_cgroup_v2: str) -> children.Child:
        """What clone says where a pid namespace has lost its first process."""
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    loop = Loop()
    connection = Connection(loop, Socket(fileno=theirs.detach()), lambda *_: None)
    with pytest.raises(errors.EngineError, match="its container is ending, or there is no memory"):
        Command(loop, connection, 7, bear, "")
    connection.close()
    ours.close()
    loop.close()


def test_the_last_words_of_a_command_are_heard_though_it_did_not_listen() -> None:
    for _ in range(30):
        with Asked(refused) as asked:
            assert asked.hear(1) == [{"is": "Failed", "message": "no such program", "terminal": True}]


def test_a_command_that_does_not_get_there_ends_with_its_client() -> None:
    before = process_kit.descendants(os.getpid())
    with Asked(stopped) as asked:
        (pid,) = process_kit.descendants(os.getpid()) - before
        process_kit.eventually(lambda: process_kit.status(pid)["State"].startswith("T"))
        asked.client.close()
        while process_kit.descendants(os.getpid()) != before:
            asked.loop.turn()


def test_what_was_sent_before_the_end_is_received_after_a_reset() -> None:
    """The kernel says once that the other side has ended before it read all, and keeps what it sent."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.send(b"never read")
        theirs.send(b"the last words")
        theirs.close()
        assert frames.receive_raw(ours) == (b"the last words", [])
        assert frames.receive_raw(ours) is None
