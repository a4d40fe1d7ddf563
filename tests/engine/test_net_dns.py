"""The dns process, asked by containers through the firewall's redirect, under the circumstances that break others."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import anyio
import pytest

from engine import errors
from engine.dns import names, packets
from engine.dns.process import DnsProcess
from engine.network.firewall import Rules
from engine.network.portmap import Published
from engine.types.configs import EndpointConfig, NetworkConfig, SandboxConfig
from engine.types.parts import PortMap
from tests.engine import net_lab
from tests.engine.host_namespace import Host
from tests.engine.net_lab import Lab

pytestmark = pytest.mark.root

NET_A = NetworkConfig("lab_a", "lab", "a", "10.10.0.0/24", "10.10.0.1")
NET_B = NetworkConfig("lab_b", "lab", "b", "10.11.0.0/24", "10.11.0.1", internal=True)
SANDBOXES = tuple(SandboxConfig(name, "lab", hostname=name, domainname="lab") for name in ("c1", "c2", "c3"))
GATEWAYS = {"c1": "10.10.0.1", "c2": "10.10.0.1", "c3": "10.11.0.1"}


def endpoint(name: str, address: str, network: NetworkConfig, *more: str) -> EndpointConfig:
    return EndpointConfig(
        "lab", name, network.name, network.key, address, 24, network.gateway, f"{name}.lab", (name, *more)
    )


ENDPOINTS = (
    endpoint("c1", "10.10.0.2", NET_A, "web"),
    endpoint("c2", "10.10.0.3", NET_A, "web"),
    endpoint("c3", "10.11.0.2", NET_B),
)
TABLES = names.tables(ENDPOINTS, SANDBOXES, (NET_A, NET_B))


def message(name: str, kind: int = packets.A) -> bytes:
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + packets.encode(name) + struct.pack("!HH", kind, 1)


class NamedLab(Lab):
    def __init__(self, host: Host, run_directory: str) -> None:
        super().__init__(host, run_directory)
        self.run = run_directory
        self.dns = DnsProcess(run_directory)
        self.populate()

    def publish(self, tables: dict[str, str] = TABLES) -> None:
        anyio.run(self.dns.publish, tables)

    def pid(self) -> int:
        return int(json.loads(pathlib.Path(self.run, "dns.json").read_text())["pid"])

    def resolve(
        self, who: str, name: str, kind: int = packets.A, *, stream: bool = False, timeout_s: float = 6
    ) -> object:
        """Addresses (sorted), or the code of the answer, or None where there was no answer."""
        answer = self.agents[who].ask(GATEWAYS[who], message(name, kind), stream=stream, timeout_s=timeout_s)
        if not answer:
            return None
        count, code = int.from_bytes(answer[6:8], "big"), answer[3] & 15
        tail = answer[len(message(name, kind)) :]
        records = [tail[16 * index : 16 * index + 16] for index in range(count)] if kind == packets.A else [tail]
        return (
            sorted(socket.inet_ntoa(record[12:]) for record in records)
            if not code and kind == packets.A
            else code or tail
        )

    def close(self) -> None:
        anyio.run(self.dns.stop)
        super().close()


@pytest.fixture
def lab(host: Host, tmp_path: pathlib.Path) -> Iterator[NamedLab]:
    lab = NamedLab(host, str(tmp_path))
    lab.publish()
    lab.apply()
    yield lab
    lab.close()
    assert [path.name for path in tmp_path.iterdir()] == []


def test_names_both_ways(lab: NamedLab) -> None:
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    assert lab.resolve("c2", "web.lab") == ["10.10.0.2", "10.10.0.3"]
    assert lab.resolve("c2", "web.lab", stream=True) == ["10.10.0.2", "10.10.0.3"]
    assert lab.resolve("c1", "c3.lab") == packets.NXDOMAIN
    answer = lab.resolve("c1", "3.0.10.10.in-addr.arpa", packets.PTR)
    assert isinstance(answer, bytes)
    assert answer.endswith(packets.encode("c2.lab"))


def test_it_says_what_it_is(lab: NamedLab) -> None:
    shown = pathlib.Path(f"/proc/{lab.pid()}/cmdline").read_bytes().rstrip(b"\0")
    assert shown == b"corral dns " + os.fsencode(lab.run)


def test_beside_a_resolver_on_all_addresses(lab: NamedLab) -> None:
    """Somebody else has port 53 of the machine, before and after our sockets are opened."""
    blockers = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
    for blocker in blockers:
        blocker.bind(("0.0.0.0", 53))
    blockers[1].listen()
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    os.kill(lab.pid(), signal.SIGKILL)
    lab.publish()
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    assert lab.resolve("c1", "c2", stream=True) == ["10.10.0.3"]
    for blocker in blockers:
        blocker.close()


def test_under_a_policy_of_drop(lab: NamedLab) -> None:
    lab.host.sh("iptables -P INPUT DROP; iptables -P FORWARD DROP")
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    assert lab.resolve("c1", "c2", stream=True) == ["10.10.0.3"]
    assert lab.resolve("c3", "c3") == ["10.11.0.2"]


def test_with_a_dns_server_inside_a_container(lab: NamedLab) -> None:
    """It has port 53 of all its addresses, and others ask it there."""
    lab.c1.serve("udp", 53)
    lab.c1.serve("tcp", 53)
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    assert lab.resolve("c1", "c2", stream=True) == ["10.10.0.3"]
    assert lab.c2.call("10.10.0.2", 53, "udp") == "10.10.0.3"


def test_a_published_port_53_is_not_ours(lab: NamedLab) -> None:
    lab.c1.serve("udp", 53)
    lab.apply(Rules(net_lab.MEMBERS, (Published("cbA", "10.10.0.2", PortMap("0.0.0.0", 53, 53, "udp")),)))
    assert lab.agents["lan"].call(net_lab.EXTERNAL, 53, "udp") == net_lab.LAN
    assert lab.resolve("c2", "c1") == ["10.10.0.2"]


def test_it_opens_nothing_else(lab: NamedLab) -> None:
    lab.agents["host"].serve("tcp", 53)
    lab.host.sh("iptables -P INPUT DROP")
    assert lab.c1.try_in_vain(net_lab.EXTERNAL, 53) == net_lab.SILENCE
    assert lab.agents["lan"].ask(net_lab.EXTERNAL, message("c2"), timeout_s=0.4, port=net_lab.DNS_PORT) == b""
    lab.lan.sh(f"ip route add 10.10.0.0/24 via {net_lab.EXTERNAL}")
    assert lab.agents["lan"].ask("10.10.0.1", message("c2"), timeout_s=0.4, port=net_lab.DNS_PORT) == b""
    assert lab.c3.ask("10.10.0.1", message("c2"), timeout_s=0.4, port=net_lab.DNS_PORT) == b"", (
        "another network's gateway"
    )


def test_new_names_are_in_force_when_publish_returns(lab: NamedLab) -> None:
    for number in range(20, 30):
        fresh = endpoint(f"n{number}", f"10.10.0.{number}", NET_A)
        lab.publish(names.tables((*ENDPOINTS, fresh), SANDBOXES, (NET_A, NET_B)))
        assert lab.resolve("c1", f"n{number}.lab") == [f"10.10.0.{number}"]
    lab.publish()
    assert lab.resolve("c1", "n29.lab") == packets.NXDOMAIN


def test_networks_come_and_go_while_it_runs(lab: NamedLab) -> None:
    pid = lab.pid()
    lab.publish(names.tables(ENDPOINTS, SANDBOXES, (NET_B,)))
    assert lab.resolve("c1", "c2", timeout_s=0.4) is None
    assert lab.resolve("c3", "c3") == ["10.11.0.2"]
    lab.publish()
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    assert lab.pid() == pid


def test_a_network_whose_port_somebody_has_is_named(lab: NamedLab) -> None:
    lab.publish(names.tables(ENDPOINTS, SANDBOXES, (NET_B,)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.bind(("10.10.0.1", lab.dns.port))
        with pytest.raises(errors.EngineError, match=r"lab_a: .*in use"):
            lab.publish()
        assert lab.resolve("c3", "c3") == ["10.11.0.2"]
    lab.publish()
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]


def test_it_is_adopted(lab: NamedLab) -> None:
    """The daemon dies: names go on being answered, and the next daemon finds the process it has not started."""
    pid = lab.pid()
    lab.dns.close()
    lab.dns = DnsProcess(lab.run)
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    lab.publish()
    assert lab.pid() == pid
    assert anyio.run(lab.dns.drift, TABLES) == ()


def test_a_daemon_that_died_between_writing_and_telling(lab: NamedLab) -> None:
    fresh = names.tables((*ENDPOINTS, endpoint("n1", "10.10.0.9", NET_A)), SANDBOXES, (NET_A, NET_B))
    pathlib.Path(lab.run, "dns", "lab_a.json").write_text(fresh["lab_a.json"])
    lab.dns.close()
    lab.dns = DnsProcess(lab.run)
    lab.publish(fresh)
    assert lab.resolve("c1", "n1") == ["10.10.0.9"]


def test_it_is_replaced_when_it_dies_or_hangs(lab: NamedLab) -> None:
    for blow in (signal.SIGKILL, signal.SIGSTOP):
        pid = lab.pid()
        os.kill(pid, blow)
        if blow == signal.SIGKILL:
            anyio.run(lab.dns.ended)
            assert anyio.run(lab.dns.drift, TABLES) == ("the dns process is gone",)
        anyio.run(lab.dns.start)
        assert lab.resolve("c1", "c2") == ["10.10.0.3"], "tables are read at the start"
        assert lab.pid() != pid
        assert not os.path.exists(f"/proc/{pid}")


def questions_while_it_is_dead(lab: NamedLab) -> None:
    pid = lab.pid()
    os.kill(pid, signal.SIGKILL)
    anyio.run(lab.dns.ended)
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(lab.resolve, "c1", "c2"),
            pool.submit(lab.resolve, "c2", "c2", stream=True),
            pool.submit(lab.resolve, "c3", "c3"),
        ]
        assert wait(asked, 0.3).done == set(), "nobody is there to answer"
        anyio.run(lab.dns.start)
        assert [each.result() for each in asked] == [["10.10.0.3"], ["10.10.0.3"], ["10.11.0.2"]]
    assert lab.pid() != pid


def test_what_is_asked_while_it_is_dead_is_answered_by_the_next_one(lab: NamedLab) -> None:
    questions_while_it_is_dead(lab)
    questions_while_it_is_dead(lab)


def test_a_daemon_that_found_it_holds_its_sockets_too(lab: NamedLab) -> None:
    lab.dns.close()
    lab.dns = DnsProcess(lab.run)
    anyio.run(lab.dns.start)
    questions_while_it_is_dead(lab)


def test_more_networks_than_the_kernel_takes_sockets_of_at_once(lab: NamedLab) -> None:
    many = [NetworkConfig(f"n{n}", "lab", f"n{n}", f"10.12.{n}.0/24", f"10.12.{n}.1") for n in range(230)]
    lab.publish(names.tables(ENDPOINTS, SANDBOXES, (NET_A, NET_B, *many)))
    before = listening(lab)
    assert len(before) == 2 * 232
    os.kill(lab.pid(), signal.SIGKILL)
    anyio.run(lab.dns.ended)
    assert listening(lab) == before, "they are held"
    anyio.run(lab.dns.start)
    assert listening(lab) == before
    lab.publish()
    assert len(listening(lab)) == 2 * 2, "nothing of a network that is gone is held"


def listening(lab: NamedLab) -> list[str]:
    """What is listened on at our port, by address and inode."""
    lines = lab.host.sh(f"ss -Htunle 'sport = :{lab.dns.port}'").splitlines()
    return sorted(re.sub(r"(\S+) +\S+ +\S+ +\S+ +(\S+).*ino:(\d+).*", r"\1 \2 \3", line) for line in lines)


def test_a_gateway_goes_from_one_network_to_another(lab: NamedLab) -> None:
    moved = NetworkConfig("lab_0", "lab", "a", NET_A.subnet, NET_A.gateway)
    endpoints = tuple(dataclasses.replace(e, network="lab_0") if e.network == "lab_a" else e for e in ENDPOINTS)
    lab.publish(names.tables(endpoints, SANDBOXES, (moved, NET_B)))
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]


def test_a_changed_table_is_drift(lab: NamedLab) -> None:
    path = pathlib.Path(lab.run, "dns", "lab_a.json")
    path.write_text("{}")
    assert anyio.run(lab.dns.drift, TABLES) == ("names of lab_a were changed",)
    lab.publish()
    assert path.read_text() == TABLES["lab_a.json"]


def test_garbage_does_not_kill_it(lab: NamedLab) -> None:
    pid = lab.pid()
    for length in range(80):
        lab.c1.ask("10.10.0.1", os.urandom(length), timeout_s=0.001)
    lab.c1.ask("10.10.0.1", b"", timeout_s=0.01, stream=True)
    lab.c1.ask("10.10.0.1", os.urandom(300), timeout_s=0.01, stream=True)
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    assert lab.pid() == pid


# ----------------------------------------------------------------------------------------------- other people's names

UPSTREAM = """
import socket, struct, sys, threading
address, mode = sys.argv[1:3]
def answer(q, stream):
    if mode == "refuse": return q[:2] + b"\\x81\\x85" + q[4:6] + bytes(6) + q[12:]
    big = b"big" in q and not stream
    flags = b"\\x83\\x80" if big else b"\\x81\\x80"
    n = 0 if big else (60 if b"big" in q else 1)
    record = b"\\xc0\\x0c\\0\\x01\\0\\x01\\0\\0\\0\\x09\\0\\x04\\xc6\\x33\\x64\\x07"
    return q[:2] + flags + q[4:6] + struct.pack("!HHH", n, 0, 0) + q[12:] + record * n
def tcp():
    l = socket.create_server((address, 53))
    while True:
        c, _ = l.accept(); d = c.recv(999)
        a = answer(d[2:], True); c.sendall(len(a).to_bytes(2, "big") + a); c.close()
threading.Thread(target=tcp, daemon=True).start()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind((address, 53)); print(flush=True)
while True:
    d, p = u.recvfrom(999)
    if mode == "forge":
        u.sendto(bytes([d[0] ^ 1]) + answer(d, False)[1:], p)
        u.sendto(answer(d[:12] + b"\\3bad" + d[16:], False), p)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, 0))
        s.sendto(answer(d, False).replace(b"\\xc6\\x33", b"\\6\\6"), p)
    u.sendto(answer(d, False), p)
"""


def upstream(lab: NamedLab, address: str, mode: str = "answer") -> None:
    lab.host.sh(f"ip addr add {address}/32 dev lo")
    child = lab.host.popen(sys.executable, "-c", UPSTREAM, address, mode, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()


def resolvers(lab: NamedLab, tmp_path: pathlib.Path, *addresses: str) -> None:
    """Give the machine other servers: /etc/resolv.conf of this mount namespace."""
    directory = tmp_path.parent / f"{tmp_path.name}-etc"
    directory.mkdir(exist_ok=True)
    path = directory / "resolv.conf"
    if not path.exists():
        path.write_text("")
        lab.host.sh(f"mount --bind {path} /etc/resolv.conf")
    path.write_text("".join(f"nameserver {address}\n" for address in addresses))


@pytest.fixture
def machine_resolvers(lab: NamedLab, tmp_path: pathlib.Path) -> Iterator[NamedLab]:
    resolvers(lab, tmp_path, "127.0.0.53")
    os.kill(lab.pid(), signal.SIGKILL)
    lab.publish()
    upstream(lab, "127.0.0.53")
    yield lab
    lab.host.sh("umount /etc/resolv.conf")


def test_unknown_names_are_asked_elsewhere(machine_resolvers: NamedLab) -> None:
    """A stub resolver on 127.0.0.53 of the machine does: the process is in the machine's namespace."""
    lab = machine_resolvers
    assert lab.resolve("c1", "example.org") == ["198.51.100.7"]
    assert lab.resolve("c1", "example.org", stream=True) == ["198.51.100.7"]
    assert lab.resolve("c3", "example.org") == packets.NXDOMAIN, "from an internal network nothing goes outside"
    assert lab.resolve("c1", "nobody.lab") == packets.NXDOMAIN


def test_long_answers_come_over_tcp(machine_resolvers: NamedLab) -> None:
    lab = machine_resolvers
    over_udp = lab.c1.ask("10.10.0.1", message("big.example"))
    assert over_udp[2] & 2, "truncated"
    assert lab.resolve("c1", "big.example", stream=True) == ["198.51.100.7"] * 60


def test_servers_of_the_machine_change(machine_resolvers: NamedLab, tmp_path: pathlib.Path) -> None:
    lab = machine_resolvers
    assert lab.resolve("c1", "example.org") == ["198.51.100.7"]
    resolvers(lab, tmp_path, "127.0.0.99")  # nobody is there
    deadline = time.monotonic() + 5
    while lab.resolve("c1", "example.org") != packets.SERVFAIL:
        assert time.monotonic() < deadline


def test_the_next_server_is_asked(machine_resolvers: NamedLab, tmp_path: pathlib.Path) -> None:
    lab = machine_resolvers
    upstream(lab, "127.0.0.54", "refuse")
    resolvers(lab, tmp_path, "127.0.0.54", "127.0.0.53")
    os.kill(lab.pid(), signal.SIGKILL)
    lab.publish()
    assert lab.resolve("c1", "example.org") == ["198.51.100.7"]


def test_forged_answers_are_not_believed(machine_resolvers: NamedLab, tmp_path: pathlib.Path) -> None:
    lab = machine_resolvers
    upstream(lab, "127.0.0.55", "forge")
    resolvers(lab, tmp_path, "127.0.0.55")
    os.kill(lab.pid(), signal.SIGKILL)
    lab.publish()
    for _ in range(10):
        assert lab.resolve("c1", "example.org") == ["198.51.100.7"]


def test_servers_of_the_sandbox(machine_resolvers: NamedLab) -> None:
    lab = machine_resolvers
    upstream(lab, "127.0.0.56", "refuse")
    own = SandboxConfig("c1", "lab", hostname="c1", domainname="lab", dns_servers=("127.0.0.56",))
    lab.publish(names.tables(ENDPOINTS, (own, *SANDBOXES[1:]), (NET_A, NET_B)))
    assert lab.resolve("c1", "example.org") == packets.REFUSED
    assert lab.resolve("c2", "example.org") == ["198.51.100.7"]
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]


def test_a_server_that_is_silent(machine_resolvers: NamedLab, tmp_path: pathlib.Path) -> None:
    """SERVFAIL after two tries; and others are answered meanwhile."""
    lab = machine_resolvers
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lab.host.sh("ip addr add 127.0.0.57/32 dev lo")
    silent.bind(("127.0.0.57", 53))
    resolvers(lab, tmp_path, "127.0.0.57")
    os.kill(lab.pid(), signal.SIGKILL)
    lab.publish()
    began = time.monotonic()
    for _ in range(100):
        lab.c2.ask("10.10.0.1", message("example.org"), timeout_s=0.001)
    assert lab.resolve("c1", "c2") == ["10.10.0.3"]
    assert time.monotonic() - began < 2
    assert lab.resolve("c1", "example.org", timeout_s=8) == packets.SERVFAIL
    assert 3.5 < time.monotonic() - began < 8
    silent.close()
