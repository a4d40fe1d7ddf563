"""How forks are asked for: many in a message where messages wait, and nothing that somebody has given up."""

import os
import socket
from collections.abc import Iterator

import anyio
import pytest

from engine import zygote
from engine.process import frames, title, wire
from engine.process import zygote as served
from engine.zygote import Fork

AREA: title.Area = None  # type: ignore[assignment]  # nobody becomes a shim here


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def fork(name: str) -> tuple[Fork, socket.socket]:
    """And the end of its connection that hears of it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    spec = wire.SandboxSpec(name, name, "p", "/nowhere", "/run")
    return Fork(frames.join_fork(spec), theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)), ours


def names_in(data: bytes) -> list[bytes]:
    return [frames.split_fork(data, number)[0].split()[0] for number in range(len(data.split(b"\0")) // 3)]


def opened() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_who_gives_up_while_messages_wait_is_not_asked_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.setblocking(False)

    async def ask() -> None:
        waiting = 0
        while True:
            try:
                frames.send_raw(ours, b"before")
            except BlockingIOError:
                break
            waiting += 1
        (stays, hears), (goes, deaf) = fork("stays"), fork("goes")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(zygote._send, ours, [goes, stays])
            await anyio.wait_all_tasks_blocked()
            goes.first.close()
            goes.listening.close()
            for _ in range(waiting):
                assert frames.receive_raw(theirs) == (b"before", [])
        data, descriptors = frames.receive_raw(theirs) or (b"", [])
        frames.close_all(descriptors)
        assert (names_in(data), len(descriptors)) == ([b"p/stays"], 2)
        assert stays.first.fileno() == -1, "what is asked for is asked for once"
        hears.close()
        deaf.close()

    anyio.run(ask)


def test_a_fork_that_fails_is_told_to_each_and_leaves_nothing_open(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    asked = [fork(f"s{number}") for number in range(3)]
    before = opened()
    anyio.run(zygote._send, ours, [each for each, _ in asked])
    ours.close()

    def fails() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fails)
    served._serve(theirs, AREA, lambda: None)
    assert opened() < before
    for _, hears in asked:
        answer = frames.receive(hears)
        assert answer is not None
        assert answer[0].body == wire.Failed("cannot fork a shim: Resource temporarily unavailable", terminal=False)
        hears.close()
