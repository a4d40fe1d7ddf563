"""Host ports: held, found, named; and connections that are forgotten when a map goes."""

import contextlib
import errno
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

import pytest

from engine import errors
from engine.network import conntrack, ports, sock_diag
from engine.network.firewall import Rules
from engine.network.portmap import Published
from engine.types.parts import PortMap
from tests.engine import net_lab
from tests.engine.host_namespace import Host
from tests.engine.net_lab import Lab

pytestmark = pytest.mark.root


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_held_port_cannot_be_taken(host: Host, protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with ports.hold(PortMap("0.0.0.0", 8080, 80, protocol)), socket.socket(socket.AF_INET, kind) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(protocol == "tcp"))
        for address in ("0.0.0.0", "127.0.0.1"):
            with pytest.raises(OSError, match="in use"):
                thief.bind((address, 8080))
    with ports.hold(PortMap("0.0.0.0", 8080, 80, protocol)):
        pass


def test_a_port_of_one_address_leaves_the_others(host: Host) -> None:
    with ports.hold(PortMap("127.0.0.1", 8080, 80)), ports.hold(PortMap("127.0.0.2", 8080, 80)):
        pass


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_who_has_it_is_named(host: Host, address: str, protocol: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as other:
        other.bind((address, 8080))
        if protocol == "tcp":
            other.listen()
        me = f"{pathlib.Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
        with pytest.raises(errors.EngineError) as caught:
            ports.hold(PortMap("127.0.0.1", 8080, 80, protocol))
        assert str(caught.value) == f"cannot publish 127.0.0.1:8080/{protocol} on this machine: {me} has it"
        shown = ("0.0.0.0", "::") if address == "::" else (address.removeprefix("::ffff:"),)
        assert ports.taken() == tuple((PortMap(each, 8080, 0, protocol), me) for each in shown)
        assert ports.taken(frozenset({ports.inode_of(other)})) == ()
    assert ports.taken() == ()


def test_an_ended_connection_does_not_stop_it(host: Host) -> None:
    """TIME_WAIT of a server that was there before."""
    place = ("127.0.0.1", 8080)
    with socket.create_server(place) as listener, socket.create_connection(place) as client:
        listener.accept()[0].close()
        assert client.recv(1) == b""
    assert "TIME-WAIT" in host.sh("ss -Htan")
    with ports.hold(PortMap("0.0.0.0", 8080, 80)), socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(("0.0.0.0", 8080))


def test_an_address_that_is_not_ours(host: Host) -> None:
    with pytest.raises(
        errors.EngineError, match=r"cannot publish 203.0.113.1:80/tcp .*: Cannot assign requested address"
    ):
        ports.hold(PortMap("203.0.113.1", 80, 80))


def test_flows_follow_the_map(host: Host, tmp_path: pathlib.Path) -> None:
    """A UDP flow that goes on keeps its old destination until it is forgotten."""
    lab = Lab(host, str(tmp_path))
    lab.populate()
    lab.c1.serve("udp", 90)
    lab.c2.serve("udp", 90)
    port = PortMap("0.0.0.0", 9090, 90, "udp")
    lab.apply(Rules(net_lab.MEMBERS, (Published("cbA", "10.10.0.2", port),)))
    caller = host.popen(*(sys.executable, "-c", CALLER), at=lab.lan, stdin=-1, stdout=-1)

    def ask() -> str:
        assert caller.stdin is not None
        assert caller.stdout is not None
        caller.stdin.write("\n")
        caller.stdin.flush()
        return caller.stdout.readline().strip()

    assert ask() == "answered"
    lab.nodes["c1"].sh("ip link set eth0 down")
    lab.apply(Rules(net_lab.MEMBERS, (Published("cbA", "10.10.0.3", port),)))
    assert ask() == "TimeoutError", "the kernel remembers the old one"
    assert conntrack.forget(ports=[port]) == 1
    assert ask() == "answered"
    assert conntrack.forget(addresses=["10.10.0.3"]) == 1
    assert conntrack.forget(addresses=["10.10.0.3"], ports=[port]) == 0
    assert conntrack.forget() == 0
    lab.close()


def test_thousands_of_flows_are_forgotten_and_no_others(host: Host, tmp_path: pathlib.Path) -> None:
    lab = Lab(host, str(tmp_path))
    lab.populate()
    lab.apply()
    for number in range(2500):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.bind(("0.0.0.0", 20000 + number))
            caller.sendto(b"x", ("10.10.0.2", 9))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.sendto(b"x", ("10.10.0.3", 9))
    assert conntrack.forget(addresses=["10.10.0.2"]) == 2500
    assert conntrack.forget(addresses=["10.10.0.2"]) == 0
    assert conntrack.forget(addresses=["10.10.0.3"]) == 1
    lab.close()


CALLER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("192.0.2.1", 9090)); s.settimeout(0.5)
for line in sys.stdin:
    try:
        s.send(b"?"); s.recv(99); print("answered", flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""


def test_both_ways_to_ask_who_listens_give_the_same(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot() -> Iterator[sock_diag.Listening]:
        raise OSError(errno.ENOENT, "no such module")

    addresses = ((socket.AF_INET, "127.0.0.7"), (socket.AF_INET6, "::"), (socket.AF_INET6, "::ffff:127.0.0.8"))
    with contextlib.ExitStack() as open_sockets:
        for family, address in addresses:
            other = open_sockets.enter_context(socket.socket(family, socket.SOCK_STREAM))
            other.bind((address, 0))
            other.listen()
        asked = set(ports.listeners())
        monkeypatch.setattr(sock_diag, "listening", cannot)
        assert set(ports.listeners()) == asked
    assert sorted(each.address for each in asked) == ["0.0.0.0", "127.0.0.7", "127.0.0.8", "::"]
