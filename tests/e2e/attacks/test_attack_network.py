"""Attacks over the network, from inside a container: raw frames of any content. It may have any address (NET_ADMIN), since
otherwise the guard drops most of this before it gets to where it is judged here (test_attack_neighbours)."""

import json
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from engine.network import bridges
from tests.e2e import dns
from tests.e2e.attacks import inside
from tests.e2e.conftest import Corrals
from tests.e2e.lab import Lab, eventually
from tests.e2e.machine import EXTERNAL, LAN, SILENCE, Place

CLUSTER = """
services:
  bad:
    image: host
    init: true
    command: sleep 1000
    cap_add: [NET_ADMIN]
    networks: {one: {ipv4_address: 10.78.1.10}}
    ports: ["127.0.0.1:8081:80"]
  near:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {one: {ipv4_address: 10.78.1.11}}
    ports: ["127.0.0.1:8082:80"]
  far:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {two: {ipv4_address: 10.78.2.10}}
networks:
  one: {ipam: {config: [{subnet: 10.78.1.0/24}]}}
  two: {ipam: {config: [{subnet: 10.78.2.0/24}]}}
"""
BAD, NEAR, FAR = "10.78.1.10", "10.78.1.11", "10.78.2.10"
GATEWAY, OTHER_GATEWAY = "10.78.1.1", "10.78.2.1"
STRANGER = "198.51.100.66"
IP_FREEBIND = 15  # linux/in.h


@pytest.fixture(scope="module")
def cluster(corrals: Corrals) -> Iterator[Lab]:
    """Brought up once: what an attack changes, it must not."""
    with corrals.get().lab("attacked") as lab:
        lab.up(CLUSTER)
        yield lab


def noting(seen: list[bytes]) -> Callable[[bytes], None]:
    return lambda data: seen.append(data)


def spoof(lab: Lab, sources: tuple[str, ...], target: str, port: int, honest: str = BAD) -> None:
    """One datagram to `target` from each source, which says so, and an honest one at the end."""
    datagrams = [(source, 5300, target, port, source.encode()) for source in (*sources, honest)]
    inside.send(lab, "bad", GATEWAY, datagrams)


def test_the_machine_is_not_told_lies_about_who_is_asking(cluster: Lab) -> None:
    """CVE-2020-8558's other half: what listens on this machine trusts who comes from 127.0.0.0/8, from itself, from its
    neighbours. `route_localnet`, which the published ports need, makes the first possible."""
    bridge = json.loads(cluster.machine.sh(f"ip -j route get {BAD}"))[0]["dev"]
    assert cluster.machine.sh(f"cat /proc/sys/net/ipv4/conf/{bridge}/route_localnet") == "1\n", "the danger is real"
    seen: list[bytes] = []
    cluster.machine.answer_udp(7000, noting(seen))
    try:
        lies = ("127.0.0.1", "127.0.0.2", "127.9.9.9", EXTERNAL, GATEWAY, OTHER_GATEWAY, LAN, STRANGER)
        spoof(cluster, lies, GATEWAY, 7000)
        eventually(lambda: BAD.encode() in seen)
        assert seen == [BAD.encode()]
    finally:
        cluster.machine.close_sockets()


def test_nobody_outside_is_told_lies_about_who_is_asking(cluster: Lab) -> None:
    """Source spoofing through this machine as a router: what leaves it carries its address, or not at all."""
    seen: list[bytes] = []
    cluster.machine.lan.answer_udp(7000, noting(seen))
    try:
        spoof(cluster, ("127.0.0.1", STRANGER, LAN, EXTERNAL, OTHER_GATEWAY), LAN, 7000)
        eventually(lambda: BAD.encode() in seen)
        assert seen == [BAD.encode()]
    finally:
        cluster.machine.lan.close_sockets()


def test_another_network_is_not_reached_under_a_false_name(cluster: Lab) -> None:
    """A member of the other network, its gateway, the machine and the world as the source: nothing gets in."""
    seen: list[bytes] = []
    far = cluster.place("far")
    far.answer_udp(7000, noting(seen))
    try:
        spoof(cluster, ("10.78.2.99", OTHER_GATEWAY, EXTERNAL, LAN, STRANGER, "127.0.0.1"), FAR, 7000)
        cluster.machine.udp(FAR, 7000, timeout=0.3)
        eventually(lambda: b"?" in seen)
        assert seen == [b"?"]
    finally:
        far.close_sockets()


def test_no_address_of_the_machines_leads_to_what_is_its_own_alone(cluster: Lab) -> None:
    """CVE-2021-20199: 127.0.0.1 of the machine, and ports published there, by every address and way that a container has."""
    seen: list[bytes] = []
    cluster.machine.serve(9999, address="127.0.0.1", says="private")
    cluster.machine.answer_udp(7001, noting(seen), address="127.0.0.1")
    script = """
found = []
for address in ARGUMENTS['addresses']:
    for port in ARGUMENTS['ports']:
        for device in (b'', b'eth0'):
            with socket.socket() as caller:
                caller.settimeout(0.3)
                try:
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
                    caller.connect((address, port))
                    found.append((address, port))
                except OSError:
                    pass
print(json.dumps(found))
"""
    arguments = {"addresses": ["127.0.0.1", "127.0.0.2", GATEWAY, OTHER_GATEWAY, EXTERNAL], "ports": [9999, 8081, 8082]}
    try:
        assert cluster.machine.tcp("127.0.0.1", 9999) == "private"
        assert json.loads(inside.python(cluster, "bad", script, arguments)) == []
        spoof(cluster, ("127.0.0.1", LAN), "127.0.0.1", 7001)
        cluster.machine.udp("127.0.0.1", 7001, timeout=0.3)
        eventually(lambda: b"?" in seen)
        assert seen == [b"?"]
    finally:
        cluster.machine.close_sockets()


def test_no_answer_of_a_containers_is_taken_for_one_of_the_gateways(cluster: Lab) -> None:
    """A container that answers DNS: on its own port 53, on the gateway's address, and in the gateway's name into another
    network. Who asks the gateway is answered by us."""
    bad = cluster.place("bad")
    bad.answer_udp(53, dns.answering({"near": STRANGER, "far": STRANGER, "www.example.com": STRANGER}))
    seen: list[bytes] = []
    far = cluster.place("far")
    far.answer_udp(5353, noting(seen))
    claimed = bad.open(socket.SOCK_DGRAM)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    claimed.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    claimed.bind((GATEWAY, 53))
    try:
        assert dns.ask(bad, "near", server="127.0.0.1").records == (STRANGER,), "the attacker's server works"
        for network, who in ((GATEWAY, "near"), (OTHER_GATEWAY, "far")):
            assert dns.ask(cluster.place(who), who, server=network).records == ({"near": NEAR, "far": FAR}[who],)
        lie = (OTHER_GATEWAY, 53, FAR, 5353, b"lie")
        inside.send(cluster, "bad", GATEWAY, [lie, lie])
        cluster.machine.udp(FAR, 5353, timeout=0.3)
        eventually(lambda: b"?" in seen)
        assert seen == [b"?"]
    finally:
        bad.close_sockets()
        far.close_sockets()


def neighbours(place: Place, address: str) -> str:
    """The MAC to which `place` sends what is for an address of its neighbours."""
    device = json.loads(place.sh(f"ip -j route get {address}"))[0]["dev"]
    return str(json.loads(place.sh(f"ip -j neigh show {address} dev {device}"))[0]["lladdr"])


def test_claimed_addresses_of_other_networks_and_of_the_lan_are_believed_by_nobody(cluster: Lab) -> None:
    """ARP spoofing out of one's network: the neighbour on the LAN, the other network's members and gateway, the machine."""
    mine = bridges.mac_of(BAD)
    cluster.machine.lan.serve(80, says="lan")
    claimed = (LAN, EXTERNAL, FAR, OTHER_GATEWAY, "127.0.0.1")
    frames = []
    for address in claimed:
        for operation in (1, 2):
            body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation).hex() + "MINE" + socket.inet_aton(address).hex()
            for target in ("ff" * 6, bridges.mac_of(GATEWAY).replace(":", "")):
                frames.append(f"{target}MINE0806{body}{target}{socket.inet_aton(GATEWAY).hex()}")
    try:
        inside.python(cluster, "bad", inside.ETHERNET, frames * 3)
        assert cluster.machine.tcp(LAN, 80) == "lan"
        assert cluster.machine.tcp(FAR, 80) == OTHER_GATEWAY
        assert cluster.place("near").tcp(LAN, 80) == "lan"
        assert neighbours(cluster.machine, LAN) != mine
        assert neighbours(cluster.machine, FAR) == bridges.mac_of(FAR)
        assert neighbours(cluster.machine, BAD) == mine
        assert mine not in cluster.place("far").sh("ip neigh")
    finally:
        cluster.machine.lan.close_sockets()


MADE_UP = """
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('eth0', 0))
mine = wire.getsockname()[4]
for number in range(20000):
    wire.send(b'\\xff' * 6 + b'\\x02' + number.to_bytes(5, 'big') + b'\\x88\\xb5' + b'x' * 46)
for number in range(20000):
    asks = struct.pack('!HHBBH', 1, 0x0800, 6, 4, 1) + mine + (0x0b000000 + number).to_bytes(4, 'big')
    wire.send(b'\\xff' * 6 + mine + b'\\x08\\x06' + asks + b'\\0' * 6 + socket.inet_aton(ARGUMENTS))
"""


def received(cluster: Lab, bridge: str) -> int:
    """How many frames have come in at the bridge's ports."""
    ports = json.loads(cluster.machine.sh(f"ip -j -s link show master {bridge}"))
    return sum(int(port["stats64"]["rx"]["packets"]) for port in ports)


def test_members_made_up_by_the_thousand_fill_no_table_of_the_machines(cluster: Lab) -> None:
    """Frames from ever new MAC addresses, which a bridge would learn into the kernel's memory, and questions by ever new
    addresses, which the machine remembers as neighbours, of which all networks together have a thousand."""
    bridge = json.loads(cluster.machine.sh(f"ip -j route get {BAD}"))[0]["dev"]
    before = received(cluster, bridge)
    inside.python(cluster, "bad", MADE_UP, GATEWAY)
    assert received(cluster, bridge) - before > 20000, "they did arrive"
    assert int(cluster.machine.sh("ip neigh | wc -l")) < 300
    cluster.machine.sh("ip neigh flush all")
    assert cluster.machine.tcp(FAR, 80) == OTHER_GATEWAY
    assert int(cluster.machine.sh(f"bridge fdb show br {bridge} | wc -l")) < 100
    assert cluster.place("bad").tcp(NEAR, 80) == BAD


def test_a_container_that_plays_an_ipv6_router_gets_no_followers(cluster: Lab) -> None:
    """CVE-2020-13401: router advertisements to all of a network, the machine among them."""
    near = cluster.place("near")
    with near.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD)) as listener:
        listener.bind(("eth0", 0x86DD))
        listener.settimeout(5)
        inside.python(cluster, "bad", inside.ETHERNET, [inside.advertisement()] * 5)
        assert b"\x86\x00" in listener.recv(2000), "they arrive"
    for place in (near, cluster.machine, cluster.place("far")):
        assert "2001:db8" not in place.sh("ip -6 addr; ip -6 route")
    bridge = json.loads(cluster.machine.sh(f"ip -j route get {BAD}"))[0]["dev"]
    assert cluster.machine.sh(f"ip -6 addr show dev {bridge}") == ""


def test_rules_that_somebody_flushes_leave_nothing_open_for_longer_than_a_second_and_a_half(cluster: Lab) -> None:
    """CVE-2025-54388, CVE-2025-54410: after a reload of somebody's firewall, isolation and the guard of 127.0.0.1 are back."""
    near = cluster.place("near")
    for command in ("iptables -F; iptables -t raw -F", "nft flush ruleset"):
        cluster.machine.sh(command)
        eventually(lambda: near.tcp(FAR, 80, timeout=0.2) == SILENCE, 1.5)
        spoofed: list[bytes] = []
        cluster.machine.answer_udp(7002, noting(spoofed))
        try:
            spoof(cluster, ("127.0.0.1", "127.0.0.2", STRANGER), GATEWAY, 7002)
            eventually(lambda spoofed=spoofed: BAD.encode() in spoofed)
            assert spoofed == [BAD.encode()]
        finally:
            cluster.machine.close_sockets()
