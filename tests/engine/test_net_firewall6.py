"""The firewall of IPv6 beside that of IPv4, with both flavours of iptables: in force, mended, taken away alone, and nothing left."""

import pathlib
import socket
from collections.abc import Iterator
from dataclasses import replace

import anyio
import pytest

from engine import sysctls
from engine.network import links, netlink, ports
from engine.network.bridges import Bridge, Bridges
from engine.network.firewall import Rules
from engine.network.portmap import Member, Published
from engine.types.parts import PortMap
from tests.engine import net_lab
from tests.engine.host_namespace import Host
from tests.engine.net_lab import Lab

pytestmark = pytest.mark.root
SIX = replace(net_lab.A, gateway6="fd10::1", prefix_length6=64)
MEMBERS6 = (Member("cbA", "fd10::/64", "fd10::1"), Member("cbB", "fd11::/64", "fd11::1", internal=True))
PORT6 = Published("cbA", "fd10::2", PortMap("::", 8080, 80))
RULES = replace(net_lab.RULES, networks6=MEMBERS6, published6=(PORT6,), bridges=("cbA", "cbB"))
SETTINGS = "sysctl net.ipv6.conf.all.forwarding net.ipv6.conf.ext0.accept_ra net.ipv4.ip_forward"


@pytest.fixture(params=["iptables-nft", "iptables-legacy"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(host: Host, tmp_path: pathlib.Path, program: str) -> Iterator[Lab]:
    lab = Lab(host, str(tmp_path), program=program)
    yield lab
    lab.close()


def rules6(lab: Lab) -> str:
    return lab.host.sh(f"{lab.program.replace('ip', 'ip6', 1)}-save | grep CORRAL", check=False)


def test_both_families_are_in_force_and_what_somebody_breaks_is_seen_and_mended(lab: Lab) -> None:
    lab.apply(RULES)
    assert lab.drift(RULES) == ()
    whole = rules6(lab)
    assert "-A CORRAL-0123abcd-DNAT -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd10::2]:80" in whole
    program6 = lab.program.replace("ip", "ip6", 1)
    for damage in (f"{program6} -F", f"{program6} -t raw -F", "sysctl -qw net.ipv6.conf.all.forwarding=0"):
        lab.host.sh(damage)
        assert lab.drift(RULES) != ()
        lab.apply(RULES)
        assert lab.drift(RULES) == ()
    assert sorted(rules6(lab).splitlines()) == sorted(whole.splitlines())


def test_the_part_of_ipv6_goes_alone_and_settings_are_put_back(lab: Lab) -> None:
    lab.host.sh("ip -6 route add 2001:db8:77::/48 dev ext0 proto ra")
    before = lab.host.sh(SETTINGS)
    lab.apply(RULES)
    assert lab.host.sh(SETTINGS).split() == [
        *("net.ipv6.conf.all.forwarding", "=", "1"),
        *("net.ipv6.conf.ext0.accept_ra", "=", "2"),
        *("net.ipv4.ip_forward", "=", "1"),
    ]
    four = replace(net_lab.RULES, bridges=RULES.bridges)
    lab.apply(four)
    assert rules6(lab) == ""
    assert sysctls.read("net.ipv6.conf.all.forwarding") == "0"
    assert lab.drift(four) == ()
    anyio.run(lab.firewall.remove, RULES.bridges)
    assert lab.host.sh(SETTINGS) == before
    assert not list(pathlib.Path(lab.run_directory).glob("*.json"))


def test_a_network_of_ipv6_alone_needs_nothing_of_ipv4(lab: Lab) -> None:
    only = Rules(networks6=MEMBERS6, published6=(PORT6,), bridges=RULES.bridges)
    lab.apply(only)
    assert lab.drift(only) == ()
    assert "CORRAL" not in lab.host.sh(f"{lab.program}-save")
    assert sysctls.read("net.ipv4.ip_forward") == "0"


def test_a_bridge_has_exactly_the_addresses_asked_for(host: Host, tmp_path: pathlib.Path) -> None:
    lab = Lab(host, str(tmp_path))

    def had() -> set[str]:
        return set(links.addresses().get(links.index_of("cbA") or 0, ()))

    async def create(bridges: Bridges, bridge: Bridge) -> None:
        await bridges.create(bridge)

    lab.act(lambda bridges: create(bridges, SIX))
    assert had() == {"10.10.0.1/24", "fd10::1/64"}
    host.sh(
        "ip -6 addr add fd99::1/64 dev cbA nodad; ip addr add 10.99.0.1/24 dev cbA; ip -6 addr del fd10::1/64 dev cbA"
    )
    lab.act(lambda bridges: create(bridges, SIX))
    assert had() == {"10.10.0.1/24", "fd10::1/64"}
    lab.act(lambda bridges: create(bridges, net_lab.A))
    assert had() == {"10.10.0.1/24"}
    assert "inet6" not in host.sh("ip addr show dev cbA")
    lab.close()


def test_an_interface_has_exactly_the_addresses_asked_for(host: Host) -> None:
    host.sh("ip link add x0 type veth peer name x1; ip link set x1 up; sysctl -qw net.ipv6.conf.x0.accept_dad=0")
    for addresses in (["10.0.0.2/24", "fd10::2/64"], ["fd10::3/64", "169.254.0.7/16"], ["10.0.0.2/24"]):
        gateways = ["10.0.0.1"] * ("10.0.0.2/24" in addresses) + ["fd10::1"] * any(
            each.startswith("fd") for each in addresses
        )
        netlink.configure_interface("x0", addresses, gateways, 1400)
        assert set(links.addresses()[links.index_of("x0") or 0]) == set(addresses)
        assert "tentative" not in host.sh("ip -6 addr show dev x0 scope global")
        assert "mtu 1400" in host.sh("ip link show dev x0")
        for gateway in gateways:
            assert f"default via {gateway} " in host.sh("ip route; ip -6 route")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_is_held_by_its_family_alone(host: Host, protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with ports.hold(PortMap("::", 8080, 80, protocol)):
        with socket.socket(socket.AF_INET, kind) as four:
            four.bind(("0.0.0.0", 8080))
        for address in ("::", "::1"):
            with socket.socket(socket.AF_INET6, kind) as six:
                six.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                with pytest.raises(OSError, match="in use"):
                    six.bind((address, 8080))
