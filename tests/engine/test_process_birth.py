"""What a shim does when the first process of a container, which prepares itself, does not get far."""

import json
import os
import signal
from pathlib import Path
from typing import NoReturn

import pytest

from engine.process import birth, children, frames, running, syscalls, wire
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
    assert "a worker was asked" in Told(tmp_path, running.Jobs(first, refuse)).wait()


@pytest.mark.parametrize("born_in", [None, "/sys/fs/cgroup/none/such"])
def test_a_worker_starts_whom_the_shim_cannot_clone(tmp_path: Path, born_in: str | None) -> None:
    assert "a worker was asked" in Told(tmp_path, running.Jobs(die, refuse), born_in).wait()


def test_one_that_is_stopped_on_its_way_leaves_no_record(tmp_path: Path) -> None:
    before = process_kit.descendants(os.getpid())
    told = Told(tmp_path, running.Jobs(hang, refuse))
    record = tmp_path / wire.PROCESS_RECORD
    process_kit.eventually(record.exists)
    told.running.stop(signal.SIGTERM, 100)
    assert "died while it was being set up" in told.wait()
    assert not record.exists()
    assert process_kit.descendants(os.getpid()) == before
