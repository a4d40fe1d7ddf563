"""The client's half of the protocol, where the other half is not as it should be."""

import pathlib
import socket
import threading

import pytest

from orchestrator import client, errors


def test_a_daemon_that_dies_before_it_reads_the_request_is_none(tmp_path: pathlib.Path) -> None:
    """So that another one is started, and asked."""
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        death = threading.Timer(0.1, listener.close)
        death.start()
        with pytest.raises(client.NoDaemon, match="before it read"):
            client.ask(path, "POST", "/v1/projects/a/up")
        death.join()


def test_a_daemon_that_dies_after_it_has_read_the_request_may_have_done_it(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def read_and_die() -> None:
            connection = listener.accept()[0]
            connection.recv(1 << 16)
            connection.close()

        reader = threading.Thread(target=read_and_die)
        reader.start()
        with pytest.raises(errors.DaemonError, match="before it answered") as raised:
            client.ask(path, "POST", "/v1/projects/a/up")
        reader.join()
    assert not isinstance(raised.value, client.NoDaemon)
