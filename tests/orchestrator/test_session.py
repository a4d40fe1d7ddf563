"""The client's end of `exec`: streams, exit codes, and what a command's end leaves behind."""

import os
import pty
import socket
import threading
from collections.abc import Callable

import pytest

from engine.process import frames, wire
from orchestrator import errors
from orchestrator.command_line import session


class Shim:
    """Plays the shim's side of a session in a thread."""

    def __init__(self, act: Callable[["Shim"], None], *, tty: bool = False) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection, self.descriptor = ours, theirs.detach()
        if tty:
            master, slave = pty.openpty()
            self.stdin = self.stdout = self.stderr = slave
            given = [master]
        else:
            (self.stdin, stdin), (stdout, self.stdout), (stderr, self.stderr) = os.pipe(), os.pipe(), os.pipe()
            given = [stdin, stdout, stderr]
        frames.send(ours, wire.Frame(7, wire.ExecStarted(1, tty)), tuple(given))
        for each in given:
            os.close(each)
        self.thread = threading.Thread(target=act, args=(self,))
        self.thread.start()

    def end(self, code: int) -> None:
        for each in {self.stdin, self.stdout, self.stderr}:
            os.close(each)
        frames.send(self.connection, wire.Frame(7, wire.ExecEnded(code)))
        self.connection.close()


def talk(shim: Shim, given: bytes = b"") -> tuple[int, bytes, bytes]:
    """Exit code, and what came on both streams."""
    files = [os.memfd_create(name) for name in ("in", "out", "err")]
    os.pwrite(files[0], given, 0)
    code = session.pump(shim.descriptor, stdin=files[0], stdout=files[1], stderr=files[2])
    shim.thread.join(10)
    found = [os.pread(each, 10_000_000, 0) for each in files]
    for each in files:
        os.close(each)
    return code, found[1], found[2]


def test_streams_stay_apart_and_the_exit_code_is_passed_on() -> None:
    def act(shim: Shim) -> None:
        os.write(shim.stdout, b"out")
        os.write(shim.stderr, b"err")
        shim.end(7)

    before = len(os.listdir("/proc/self/fd"))
    assert talk(Shim(act)) == (7, b"out", b"err")
    assert len(os.listdir("/proc/self/fd")) == before


def test_input_goes_in_whole_and_its_end_is_told() -> None:
    data = os.urandom(3_000_000)

    def act(shim: Shim) -> None:
        while chunk := os.read(shim.stdin, 65536):
            while chunk:
                chunk = chunk[os.write(shim.stdout, chunk) :]
        shim.end(0)

    assert talk(Shim(act), data) == (0, data, b"")


def test_a_command_that_does_not_read_its_input_can_end() -> None:
    assert talk(Shim(lambda shim: shim.end(3)), b"x" * 1_000_000)[0] == 3


def test_all_output_before_the_end_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def act(shim: Shim) -> None:
        frames.send(shim.connection, wire.Frame(7, wire.ExecEnded(0)))
        os.write(shim.stdout, b"late")
        for each in (shim.stdin, shim.stdout, shim.stderr):
            os.close(each)
        shim.connection.close()

    assert talk(Shim(act)) == (0, b"late", b"")


def test_somebody_who_holds_the_pipes_open_does_not_keep_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "DRAIN_S", 0.05)
    left = threading.Event()

    def act(shim: Shim) -> None:
        os.write(shim.stdout, b"x")
        frames.send(shim.connection, wire.Frame(7, wire.ExecEnded(0)))
        left.wait(10)
        for each in (shim.stdin, shim.stdout, shim.stderr):
            os.close(each)
        shim.connection.close()

    shim = Shim(act)
    shim.thread, thread = threading.Thread(target=left.set), shim.thread
    shim.thread.start()
    assert talk(shim)[:2] == (0, b"x")
    thread.join(10)


def test_a_terminal_passes_bytes_both_ways() -> None:
    def act(shim: Shim) -> None:
        os.write(shim.stdout, b"prompt$ ")
        os.write(shim.stdout, os.read(shim.stdin, 100).upper())
        shim.end(0)

    code, out, _ = talk(Shim(act, tty=True), b"hello\n")
    assert code == 0
    assert b"prompt$ " in out
    assert b"HELLO" in out


def test_a_container_that_ends_and_a_command_that_cannot_run_are_told() -> None:
    def leave(shim: Shim) -> None:
        for each in (shim.stdin, shim.stdout, shim.stderr):
            os.close(each)
        shim.connection.close()

    with pytest.raises(errors.DaemonError, match="the container ended"):
        talk(Shim(leave))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    frames.send(ours, wire.Frame(1, wire.Failed("cannot run nosuch: no such file", True)))
    with pytest.raises(errors.DaemonError, match="cannot run nosuch"):
        session.pump(theirs.detach())
    ours.close()
