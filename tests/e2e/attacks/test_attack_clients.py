"""Attacks on the daemon's patience by those who may talk to it: hundreds at once who say nothing, say half of it, or never read.

Whoever comes meanwhile is answered, and what they cost is given back.
"""

import contextlib
import json
import pathlib
import socket
from collections.abc import Iterator

import pytest

from orchestrator import client, protocol, version
from tests.e2e import machine
from tests.e2e.attacks.test_attack_resources import ANSWERED_S, MIB, descriptors, resident
from tests.e2e.lab import Lab, eventually

CROWD = 600
"""More than have a place, and than wait for one before the door."""
KEPT_BYTES = 6 * MIB
"""What a process may have kept for the next crowd, once the first has gone."""

SERVICES = """
services:
  victim: {image: IMAGE, init: true, command: sleep 1000}
  bad: {image: IMAGE, init: true, command: [sh, -c, "while :; do yes | head -c 100000; sleep 0.1; done"]}
"""


def request(url: str, body: object = None, *, verb: str = "POST") -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{verb} {url} HTTP/1.1\r\n{protocol.VERSION_HEADER}: {version.VERSION}\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


ATTACHED = {"service": "bad", "number": 1, "to_next": False}
SAID = {
    "nothing": b"",
    "half a body": request("/v1/projects/PROJECT/stop", {"services": []})[:-5],
    "a question": request("/v1/projects/PROJECT/containers", verb="GET"),
    "logs -f": request("/v1/projects/PROJECT/logs/follow", {}),
    "events": request("/v1/projects/PROJECT/events", {"since": 0.0, "until": None}),
    "attach": request("/v1/projects/PROJECT/attach", ATTACHED),
}


def connection(path: pathlib.Path) -> socket.socket | None:
    """None where even the queue before the door is full."""
    made = socket.socket(socket.AF_UNIX)
    made.setblocking(False)
    try:
        made.connect(str(path))
    except BlockingIOError:
        made.close()
        return None
    return made


@contextlib.contextmanager
def crowd(lab: Lab, said: bytes) -> Iterator[list[socket.socket]]:
    """So many clients that have said this, and never read."""
    with contextlib.ExitStack() as open_ones:
        there: list[socket.socket] = []

        def comes() -> bool:
            if (made := connection(lab.run_folder / "corral.sock")) is None:
                return False
            there.append(open_ones.enter_context(made))
            with contextlib.suppress(BrokenPipeError):  # it was given up already
                made.sendall(said.replace(b"PROJECT", lab.project.encode()))
            return True

        for _ in range(CROWD):
            eventually(comes)
        yield there


def verify_served(lab: Lab) -> None:
    assert client.answers(str(lab.run_folder / "corral.sock")), "the daemon shows a sign of life"
    assert "victim-1" in lab.corral("ps", "--format", "json", timeout=ANSWERED_S).stdout
    assert lab.corral("exec", "-T", "victim", "echo", "served", timeout=ANSWERED_S).stdout == "served\n"
    lab.corral("restart", "-t", "0", "victim", timeout=ANSWERED_S)


class Cost:
    """What our processes have open, and the memory that is their own."""

    def __init__(self, lab: Lab) -> None:
        pids = [pid for pid in lab.owner.own_processes() if machine.is_alive(pid)]
        self._before = {pid: (machine.command_line(pid), descriptors(pid), resident(pid)) for pid in pids}

    def is_given_back(self) -> bool:
        for pid, (line, files, memory_bytes) in self._before.items():
            assert machine.is_alive(pid), line
            assert descriptors(pid) <= files, line
            assert resident(pid) <= memory_bytes + KEPT_BYTES, line
        return True


@pytest.mark.timeout(180)
@pytest.mark.parametrize("said", SAID)
def test_a_crowd_that_does_not_get_on_keeps_nobody_outside_and_leaves_nothing(lab: Lab, said: str) -> None:
    """CVE-2022-1708, CVE-2022-23471, CVE-2025-64329, of all that one may say to the daemon."""
    lab.up(SERVICES)
    verify_served(lab)  # which opens what is opened once, and kept
    cost = Cost(lab)
    for _ in range(2):
        with crowd(lab, SAID[said]):
            verify_served(lab)
        eventually(cost.is_given_back)
        cost = Cost(lab)
