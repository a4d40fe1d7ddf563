"""What of IPv6 is a pure function: the rules of its firewall, who is told which addresses, what an announcement says."""

import ipaddress
import pathlib
import struct

from engine.dns import names, packets
from engine.dns import tables as dns_tables
from engine.network import bridges, netlink, portmap, routes, rulesets
from engine.network.bridges import Dump, Route
from engine.network.portmap import IPV6, Member, Published
from engine.types.configs import EndpointConfig, NetworkConfig, SandboxConfig
from engine.types.parts import PortMap

INSTANCE = "0123abcd"
MEMBERS = (
    Member("cbaaaaaaaaaa", "fd10::/64", "fd10::1"),
    Member("cbbbbbbbbbbb", "2001:db8:11::/64", "2001:db8:11::1", icc=False, masquerade=False),
    Member("cbcccccccccc", "fd12::/64", "fd12::1", internal=True),
)
PUBLISHED = (
    Published("cbaaaaaaaaaa", "fd10::2", PortMap("::", 8080, 80)),
    Published("cbaaaaaaaaaa", "fd10::2", PortMap("::1", 8081, 81)),
    Published("cbbbbbbbbbbb", "2001:db8:11::2", PortMap("2001:db8::1", 5353, 53, "udp")),
    Published("cbcccccccccc", "fd12::2", PortMap("::", 8082, 80)),
)
GOLDEN = pathlib.Path(__file__).parent / "net_rules6.txt"
LAB = NetworkConfig("lab_n", "lab", "n", "10.10.0.0/24", "10.10.0.1", subnet6="fd10::/64", gateway6="fd10::1")
ONLY6 = NetworkConfig("lab_o", "lab", "o", "", "", subnet6="fd11::/64", gateway6="fd11::1")


def endpoint(sandbox: str, network: NetworkConfig, address: str, address6: str) -> EndpointConfig:
    return EndpointConfig(
        *("lab", sandbox, network.name, network.key, address, 24, network.gateway, f"{sandbox}.lab"),
        names=(sandbox, "all"),
        address6=address6,
        prefix_length6=64,
        gateway6=network.gateway6,
    )


ENDPOINTS = (
    endpoint("a", LAB, "10.10.0.2", "fd10::2"),
    endpoint("b", LAB, "10.10.0.3", "fd10::3"),
    endpoint("c", ONLY6, "", "fd11::2"),
)


def test_the_rules() -> None:
    texts = portmap.render(MEMBERS, PUBLISHED, INSTANCE, 10053, became_router=True, family=IPV6)
    assert "".join(texts.values()) == GOLDEN.read_text()


def test_spellings_of_an_address() -> None:
    assert rulesets.canonical("-d fd10::1 -j DROP") == rulesets.canonical("-d fd10::1/128 -j DROP")


def load() -> dict[str, dns_tables.Network]:
    texts = names.tables(ENDPOINTS, [SandboxConfig(each, "lab", hostname=each) for each in "abc"], (LAB, ONLY6))
    return {found.name: found for found in map(dns_tables.Network, texts.values())}


def asked(name: str, kind: int, source: str, network: str = "lab_n") -> dns_tables.Answer | None:
    networks = load()
    question = packets.parse(
        struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + packets.encode(name) + struct.pack("!2H", kind, 1)
    )
    return dns_tables.Tables(networks.values()).answer(networks[network], dns_tables.packed(source), question)


def records(name: str, kind: int, source: str, network: str = "lab_n") -> list[str]:
    found = asked(name, kind, source, network)
    assert found is not None
    return [str(ipaddress.ip_address(each)) for each in found.records]


def test_a_name_has_addresses_of_both_families_by_whichever_it_is_asked() -> None:
    for source in ("10.10.0.3", "fd10::3"):
        assert records("a", packets.A, source) == ["10.10.0.2"]
        assert records("a", packets.AAAA, source) == ["fd10::2"]
        assert sorted(records("all", packets.AAAA, source)) == ["fd10::2", "fd10::3"]
        assert records("a", packets.ANY, source) == ["10.10.0.2"]
    assert records("c", packets.ANY, "fd11::2", "lab_o") == ["fd11::2"]
    assert records("c", packets.A, "fd11::2", "lab_o") == []


def test_who_asks_is_known_by_either_address() -> None:
    assert asked("a", packets.AAAA, "fd99::1") is None
    refused = asked("a", packets.AAAA, "fd10::77")
    assert refused is not None
    assert refused.code == packets.REFUSED
    found = asked("c", packets.AAAA, "fd10::3")
    assert found is not None
    assert not found.records


def test_back_from_an_address_to_its_name() -> None:
    pointer = ipaddress.ip_address("fd10::2").reverse_pointer
    found = asked(pointer, packets.PTR, "fd10::3")
    assert found is not None
    assert list(found.records) == [packets.encode("a.lab")]
    nobody = asked(ipaddress.ip_address("fd10::9").reverse_pointer, packets.PTR, "fd10::3")
    assert nobody is not None
    assert nobody.code == packets.NXDOMAIN
    for wrong in ("0.ip6.arpa", "zz." * 32 + "ip6.arpa", "a" * 3 + ".ip6.arpa"):
        assert packets.reverse_address(wrong) is None


def test_an_answer_of_both_kinds_says_which() -> None:
    question = packets.parse(
        struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + packets.encode("a") + struct.pack("!2H", packets.ANY, 1)
    )
    said = packets.reply(question, 0, [b"\0" * 16])
    assert struct.unpack_from("!H", said, len(said) - 16 - 10)[0] == packets.AAAA


def test_files_of_a_sandbox() -> None:
    sandbox = SandboxConfig("a", "lab", hostname="a", domainname="lab")
    assert names.hosts_file(sandbox, ENDPOINTS[:1]).splitlines() == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.10.0.2\ta.lab a",
        "fd10::2\ta.lab a",
    ]
    assert names.server_of(ENDPOINTS[:1]) == "10.10.0.1"
    assert names.server_of(ENDPOINTS[2:]) == "fd11::1"
    assert names.server_of([]) is None


def test_a_mac_belongs_to_an_address() -> None:
    one, other = bridges.mac_of("fd10::2"), bridges.mac_of("fd10::3")
    assert one == bridges.mac_of("fd10:0::2") != other
    assert int(one[:2], 16) & 3 == 2, "local, not multicast"


def test_routes_that_every_interface_has_are_no_use_of_a_subnet() -> None:
    found = routes.taken(
        Dump(routes=(Route("fe80::/64", "eth0"), Route("ff00::/8", "eth0"), Route("fd55::/48", "eth0"))), ()
    )
    assert found == (("fd55::/48", "a route of eth0"),)


def test_an_announcement_of_ipv6_has_the_right_sum() -> None:
    said = netlink._advertisement(b"\x02\x42\0\0\0\1", ipaddress.IPv6Address("fd10::2").packed)
    head, body = said[14:54], said[54:]
    assert said[12:14] == b"\x86\xdd"
    pseudo = head[8:40] + struct.pack("!II", len(body), 58)
    total = sum(struct.unpack(f"!{(len(pseudo) + len(body)) // 2}H", pseudo + body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
    assert body[0] == 136
