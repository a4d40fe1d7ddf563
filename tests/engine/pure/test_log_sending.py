"""Where messages are sent: sockets of every kind, and those that come and go."""

import pathlib
import socket

import anyio
import pytest

from engine.logs import sending
from engine.types.parts import Forward


async def send(sender: sending.Sender, *messages: bytes) -> None:
    for message in messages:
        await sender.send(message)


def test_the_machines_own_syslog_by_datagrams(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "log")
    monkeypatch.setattr(sending, "OWN_SYSLOGS", ("/no/such/log", path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        sender = sending.Sender(Forward("syslog"))
        anyio.run(send, sender, b"one", b"two")
        assert (server.recv(99), server.recv(99)) == (b"one", b"two")
        sender.close()


def test_one_that_listens_for_connections(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        sender = sending.Sender(Forward("syslog", f"unix://{path}"))
        anyio.run(send, sender, b"one", b"two")
        sender.close()
        connection, _ = server.accept()
        with connection:
            assert connection.makefile("rb").read() == b"one\ntwo\n"


def test_one_that_is_not_there_and_one_that_is_stuck_are_errors(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SEND_S", 0.2)
    path = str(tmp_path / "log")
    sender = sending.Sender(Forward("syslog", f"unix://{path}"))
    with pytest.raises(FileNotFoundError):
        anyio.run(send, sender, b"one")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        with pytest.raises(TimeoutError):
            anyio.run(send, sender, *(b"x" * 999 for _ in range(5000)))
    sender.close()
