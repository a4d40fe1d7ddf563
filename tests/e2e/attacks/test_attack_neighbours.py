"""Attacks on the members of one's own network, by raw frames, which Docker lets every container send: nobody says there that it is
somebody else."""

import json
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from engine.network import bridges
from tests.e2e.attacks import inside
from tests.e2e.conftest import Corrals
from tests.e2e.lab import Lab, eventually
from tests.e2e.machine import Place

CLUSTER = """
services:
  liar:
    image: host
    init: true
    command: sleep 1000
    networks: {one: {ipv4_address: 10.78.1.10, ipv6_address: "fd78::10", link_local_ips: [169.254.7.7]}}
  router:
    image: host
    init: true
    command: sleep 1000
    cap_add: [NET_ADMIN]
    networks: {one: {ipv4_address: 10.78.1.12, ipv6_address: "fd78::12"}}
  forwarder:
    image: host
    init: true
    command: sleep 1000
    sysctls: {net.ipv4.ip_forward: 1}
    networks: {one: {ipv4_address: 10.78.1.13, ipv6_address: "fd78::13"}}
  near:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {one: {ipv4_address: 10.78.1.11, ipv6_address: "fd78::11"}}
networks:
  one: {enable_ipv6: true, ipam: {config: [{subnet: 10.78.1.0/24}, {subnet: "fd78::/64"}]}}
"""
HELPER = """
  helper:
    image: host
    init: true
    command: sleep 1000
    cap_add: [NET_ADMIN]
    network_mode: service:liar
networks:
"""
LIAR, NEAR, ROUTER, GATEWAY = "10.78.1.10", "10.78.1.11", "10.78.1.12", "10.78.1.1"
LIAR6, NEAR6, ROUTER6, GATEWAY6 = "fd78::10", "fd78::11", "fd78::12", "fd78::1"
LINK_LOCAL, STRANGER, STRANGER6, NOBODY6 = "169.254.7.7", "198.51.100.66", "2001:db8::66", "::"
UDP, ICMPV6, HOP_BY_HOP, ROUTING, DESTINATION = 17, 58, 0, 43, 60


@pytest.fixture(scope="module")
def cluster(corrals: Corrals) -> Iterator[Lab]:
    """Brought up once: what an attack changes, it must not."""
    with corrals.get().lab("neighbours") as lab:
        lab.up(CLUSTER)
        yield lab


def packed(address: str) -> bytes:
    return ip_address(address).packed


def ethernet(kind: int, body: bytes, *, source: str = "MINE") -> str:
    """To the neighbour."""
    return bridges.mac_of(NEAR).replace(":", "") + source + f"{kind:04x}" + body.hex()


def ipv4(source: str, target: str = NEAR, *, mac: str = "MINE") -> str:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + 8, 1, 0, 64, UDP, 0) + packed(source) + packed(target)
    total = sum(struct.unpack("!10H", head))  # whatever filters bridged packets on this machine reads it
    total = (total >> 16) + (total & 0xFFFF)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    return ethernet(0x0800, head + struct.pack("!4H", 5300, 7000, 8, 0), source=mac)


def arp(claimed: str, operation: int) -> str:
    """Somebody's address is at my MAC."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation).hex() + "MINE" + packed(claimed).hex()
    return ethernet(0x0806, b"") + head + bridges.mac_of(NEAR).replace(":", "") + packed(NEAR).hex()


def ipv6(source: str, body: bytes, *, header: int = UDP) -> str:
    head = struct.pack("!IHBB", 6 << 28, len(body), header, 255) + packed(source) + packed(NEAR6)
    return ethernet(0x86DD, head + body)


def discovery(kind: int, target: str, source: str = LIAR6) -> str:
    """A message of neighbour discovery about a target. Nobody here reads its checksum."""
    return ipv6(source, struct.pack("!BBHI", kind, 0, 0, 0xE0000000) + packed(target), header=ICMPV6)


def behind(header: int, kind: int, source: str = LIAR6, *, length: int = 0) -> str:
    """A message of ICMPv6 behind another header."""
    first = struct.pack("!BB", ICMPV6, length) + bytes(6 + 8 * length)
    return ipv6(source, first + struct.pack("!BBHI", kind, 0, 0, 0) + packed(ROUTER6), header=header)


TRUTHS = {
    "its address": ipv4(LIAR),
    "its link-local address": ipv4(LINK_LOCAL, "169.254.9.9"),
    "ARP of its own": arp(LIAR, 2),
    "whether its address is free": arp("0.0.0.0", 1),
    "its IPv6 address": ipv6(LIAR6, bytes(8)),
    "an address that it made of its MAC": ipv6("fe80::42:aff:fe4e:10a", bytes(8)),
    "a solicitation": discovery(135, NEAR6),
    "whether its IPv6 address is free": discovery(135, LIAR6, NOBODY6),
    "an advertisement of its own": discovery(136, LIAR6),
    "a router solicitation": discovery(133, LIAR6, NOBODY6),
    "an echo request": ipv6(LIAR6, struct.pack("!BBHI", 128, 0, 0, 0), header=ICMPV6),
    "a report of the groups that it listens to": behind(HOP_BY_HOP, 143, NOBODY6),
    "what is neither": ethernet(0x88B5, b"experiment"),
}
LIES = {
    **{f"IPv4 of {who}": ipv4(who) for who in (NEAR, ROUTER, GATEWAY, STRANGER, "127.0.0.1", "0.0.0.0")},
    **{f"ARP of {who}, {how}": arp(who, how) for who in (NEAR, ROUTER, GATEWAY, STRANGER) for how in (1, 2)},
    "RARP": ethernet(0x8035, bytes(28)),
    "another's MAC": ipv4(LIAR, mac="020000000066"),
    "the gateway's MAC": ipv4(LIAR, mac=bridges.mac_of(GATEWAY).replace(":", "")),
    **{f"IPv6 of {who}": ipv6(who, bytes(8)) for who in (NEAR6, ROUTER6, GATEWAY6, STRANGER6, "::1", NOBODY6)},
    **{f"ICMPv6 of {who}": discovery(128, who, who) for who in (ROUTER6, GATEWAY6)},
    **{f"advertised {who}": discovery(136, who) for who in (ROUTER6, GATEWAY6, STRANGER6)},
    **{f"advertised {who} by nobody": discovery(136, who, NOBODY6) for who in (ROUTER6, GATEWAY6)},
    "solicited from the router's address": discovery(135, NEAR6, ROUTER6),
    "another's address is taken": discovery(135, ROUTER6, NOBODY6),
    "a router": discovery(134, LIAR6, "fe80::bad"),
    "a better way": discovery(137, GATEWAY6, "fe80::bad"),
    **{f"kind {kind} behind header {header}": behind(header, kind) for header in (0, 43, 60) for kind in (134, 136)},
    "an advertisement behind a long header": behind(HOP_BY_HOP, 136, length=1),
    "a report in another's name": behind(HOP_BY_HOP, 143, ROUTER6),
}

ELSEWHERE = {
    name for name in LIES if any(each in name for each in (STRANGER, STRANGER6, "127.0.0.1", "0.0.0.0", "::1"))
}
"""From no address of any network of ours: where bridged packets are filtered, as beside Docker, nobody gets far with that."""


def arrived(lab: Lab, service: str, frames: dict[str, str]) -> set[str]:
    """What of this the neighbour gets to see, if the service sends it and an honest word at the end."""
    mine = lab.exec(service, "cat", "/sys/class/net/eth0/address").strip().replace(":", "")
    end = ethernet(0x88B5, b"that was all")
    names = {bytes.fromhex(frame.replace("MINE", mine)): name for name, frame in frames.items()}
    assert len(names) == len(frames)
    found: set[str] = set()
    near = lab.place("near")
    with near.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as listener:
        listener.bind(("eth0", 3))
        listener.settimeout(10)
        inside.python(lab, service, inside.ETHERNET, [*frames.values(), end])
        while (frame := listener.recv(2000)) != bytes.fromhex(end.replace("MINE", mine)):
            if frame in names:
                found.add(names[frame])
    return found


def test_a_member_is_heard_under_its_own_name_only(cluster: Lab) -> None:
    assert arrived(cluster, "liar", TRUTHS | LIES) == set(TRUTHS)


@pytest.mark.parametrize("service", ["router", "forwarder"])
def test_who_may_have_other_addresses_is_believed(cluster: Lab, service: str) -> None:
    """NET_ADMIN, and forwarding for others: the same frames, and they arrive."""
    assert arrived(cluster, service, TRUTHS | LIES) | ELSEWHERE == set(TRUTHS | LIES)


def known(place: Place, address: str) -> str:
    """The MAC that it believes a neighbour to have."""
    found = json.loads(place.sh(f"ip -j neigh show {address}"))
    return str(found[0].get("lladdr", "")) if found else ""


def claims(lab: Lab, service: str) -> None:
    """It says again and again that it is the gateway."""
    inside.python(lab, service, inside.ETHERNET, [arp(GATEWAY, operation) for operation in (1, 2)] * 3)


def test_who_claims_to_be_the_gateway_gets_nothing_of_what_is_for_it(cluster: Lab) -> None:
    """ARP spoofing as it is done, and as it succeeds for whom the network is given to (NET_ADMIN)."""
    near = cluster.place("near")
    near.sh("ip neigh flush all")
    cluster.machine.serve(7100, says="machine")
    try:
        assert near.tcp(GATEWAY, 7100) == "machine"
        claims(cluster, "liar")
        assert known(near, GATEWAY) == bridges.mac_of(GATEWAY)
        assert near.tcp(GATEWAY, 7100) == "machine"

        def is_deceived() -> bool:  # what was confirmed a second ago is not overwritten
            claims(cluster, "router")
            return known(near, GATEWAY) == bridges.mac_of(ROUTER)

        eventually(is_deceived)
    finally:
        near.sh("ip neigh flush all")
        cluster.machine.close_sockets()


def test_a_member_goes_about_its_business(cluster: Lab) -> None:
    liar = cluster.place("liar")
    assert liar.tcp(NEAR, 80) == LIAR
    assert cluster.exec("near", "ping", "-c1", "-W5", LIAR6)
    assert cluster.exec("liar", "getent", "hosts", "near").split()[0] in (NEAR, NEAR6)
    assert cluster.place("near").tcp(LIAR, 80) != "", "it refuses, which is an answer"


def test_who_joins_with_the_right_to_other_addresses_frees_its_sandbox_and_nothing_starts_again(cluster: Lab) -> None:
    pid = cluster.pid("liar")
    cluster.up(CLUSTER.replace("\nnetworks:\n", HELPER, 1))
    assert arrived(cluster, "liar", LIES) | ELSEWHERE == set(LIES)
    cluster.up(CLUSTER, "--remove-orphans")
    assert arrived(cluster, "liar", LIES) == set()
    assert cluster.pid("liar") == pid


def test_a_guard_that_somebody_took_away_comes_back(cluster: Lab) -> None:
    cables = [
        link["ifname"] for link in json.loads(cluster.machine.sh("ip -j link")) if link["ifname"].startswith("cv")
    ]

    def what_is_heard(*, guarded: bool) -> set[str]:
        if not guarded:
            cluster.machine.sh("; ".join(f"tc qdisc del dev {cable} clsact" for cable in cables), check=False)
        return arrived(cluster, "liar", {"a lie": ipv4(ROUTER)})

    eventually(lambda: what_is_heard(guarded=False) == {"a lie"}, 20)  # one look may come in between
    eventually(lambda: what_is_heard(guarded=True) == set(), 20)
