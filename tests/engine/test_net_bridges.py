"""Bridges and cables, judged by `ip -j`, not by our own readers."""

import json
import pathlib
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from engine import errors, sysctls
from engine.network import bridges, hints, links, netlink, routes
from engine.network.bridges import Bridge, Cable
from engine.network.hints import Hint
from tests.engine import net_lab
from tests.engine.host_namespace import Host
from tests.engine.net_lab import Lab

pytestmark = pytest.mark.root
LAB = Bridge("cblab", "10.10.0.1", 24, mtu=1400)


def act(host: Host, *verbs: object) -> object:
    """Do verbs (name, arguments …) one after the other; give back what the last one said."""

    async def inside() -> object:
        said = None
        async with bridges.open_bridges() as links:
            for name, *arguments in verbs:  # type: ignore[attr-defined]
                said = await getattr(links, name)(*arguments)
        return said

    return anyio.run(inside)


def dump(host: Host) -> bridges.Dump:
    found = act(host, ("dump",))
    assert isinstance(found, bridges.Dump)
    return found


def show(host: Host, what: str) -> dict[str, object]:
    (found,) = json.loads(host.sh(f"ip -d -j {what}"))
    return dict(found)


@pytest.fixture
def bridge(host: Host) -> Iterator[Bridge]:
    act(host, ("create", LAB))
    yield LAB
    act(host, ("remove", LAB.name))


def test_a_bridge_is_as_asked(host: Host, bridge: Bridge) -> None:
    link = show(host, "link show cblab")
    assert link["mtu"] == 1400
    assert link["address"] == "02:42:0a:0a:00:01"
    assert "UP" in link["flags"]  # type: ignore[operator]
    details = link["linkinfo"]["info_data"]  # type: ignore[index]
    assert (details["forward_delay"], details["stp_state"]) == (0, 0)
    addresses = [each["local"] for each in show(host, "addr show cblab")["addr_info"]]  # type: ignore[union-attr]
    assert addresses == ["10.10.0.1"], "IPv4 only"
    assert sysctls.read("net.ipv6.conf.cblab.disable_ipv6") == "1"
    assert sysctls.read("net.ipv6.conf.cblab.accept_ra") == "0"
    assert bridges.check(dump(host), bridge) == ()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("ip link set cblab down", "bridge is down"),
        ("ip link set cblab mtu 1300", "mtu 1300 → 1400"),
        ("ip addr add 10.9.0.1/24 dev cblab", "gateway address"),
        ("ip addr del 10.10.0.1/24 dev cblab; ip addr add 10.10.0.1/25 dev cblab", "gateway address"),
        ("ip addr flush dev cblab", "gateway address"),
        ("ip link set cblab address 02:00:00:00:00:01", "bridge MAC address"),
        ("sysctl -qw net.ipv6.conf.cblab.disable_ipv6=0", "sysctl net.ipv6.conf.cblab.disable_ipv6"),
    ],
)
def test_damage_is_named_and_mended(host: Host, bridge: Bridge, damage: str, words: str) -> None:
    host.sh(damage)
    assert words in (bridges.check(dump(host), bridge) or ())
    act(host, ("create", bridge))
    assert bridges.check(dump(host), bridge) == ()


def test_a_bridge_that_is_gone(host: Host, bridge: Bridge) -> None:
    host.sh("ip link del cblab")
    assert bridges.check(dump(host), bridge) is None
    act(host, ("remove", bridge.name))


def test_verbs_may_be_repeated(host: Host, bridge: Bridge) -> None:
    act(
        host,
        ("create", bridge),
        ("create", bridge),
        ("remove", bridge.name),
        ("remove", bridge.name),
        ("create", bridge),
    )
    assert bridges.check(dump(host), bridge) == ()


def test_a_cable(host: Host, bridge: Bridge) -> None:
    node = host.neighbour("c1")
    cable = Cable("cv1", "cblab", "eth0", "10.10.0.2", 1400)
    act(host, ("attach", cable, node.pid), ("attach", cable, node.pid))
    assert bridges.check_cable(dump(host), cable) == ()
    assert "hairpin on" in host.sh("bridge -d link show dev cv1")
    assert sysctls.read("net.ipv6.conf.cv1.disable_ipv6") == "1"
    (inside,) = json.loads(node.sh("ip -j link show eth0"))
    assert (inside["address"], inside["mtu"], inside["operstate"]) == ("02:42:0a:0a:00:02", 1400, "DOWN")
    for damage, words in [
        ("ip link set cv1 nomaster", "not plugged into its network"),
        ("ip link set cv1 down", "cable is down"),
        ("bridge link set dev cv1 hairpin off", "hairpin is off"),
        ("bridge link set dev cv1 learning on", "the bridge believes what it says of others' addresses"),
        ("ip link set cv1 mtu 1300", "mtu 1300 → 1400"),
    ]:
        host.sh(damage)
        assert words in (bridges.check_cable(dump(host), cable) or ())
        act(host, ("mend", cable))
        assert bridges.check_cable(dump(host), cable) == ()
        assert "02:42:0a:0a:00:02" in host.sh("bridge fdb show dev cv1")
    act(host, ("detach", "cv1"), ("detach", "cv1"))
    assert bridges.check_cable(dump(host), cable) is None
    assert node.sh("ip -j link show eth0", check=False) == ""


@pytest.mark.parametrize(
    ("cable", "pid", "words"),
    [
        (Cable("cv1", "cbnone", "eth0", "10.10.0.2"), 1, "there is no bridge cbnone"),
        (Cable("cv1", "cblab", "eth0", "10.10.0.2"), 4194303, "cannot attach 10.10.0.2 to bridge cblab"),
        (Cable("a-name-much-too-long", "cblab", "eth0", "10.10.0.2"), 0, "cannot attach 10.10.0.2 to bridge cblab"),
    ],
)
def test_what_cannot_be_attached_leaves_nothing(host: Host, bridge: Bridge, cable: Cable, pid: int, words: str) -> None:
    node = host.neighbour("c1")
    with pytest.raises(errors.EngineError, match=words):
        act(host, ("attach", cable, pid or node.pid))
    assert host.links() == {"cblab"}


def test_an_interface_name_that_is_taken_inside(host: Host, bridge: Bridge) -> None:
    node = host.neighbour("c1")
    node.sh("ip link add eth0 type bridge")
    with pytest.raises(errors.EngineError, match="File exists"):
        act(host, ("attach", Cable("cv1", "cblab", "eth0", "10.10.0.2"), node.pid))
    assert host.links() == {"cblab"}


def test_configured_inside(host: Host) -> None:
    """What is done in a sandbox, done here on a cable between ourselves."""
    host.sh("ip link set lo down; ip link add eth0 type veth peer name far; ip link set far up")
    netlink.loopback_up()
    host.sh("ip addr add 10.9.9.9/24 dev eth0")
    for address, gateway in [("10.10.0.2", "10.10.0.1"), ("10.10.0.2", "10.10.0.1"), ("10.10.0.7", "10.10.0.254")]:
        netlink.configure_interface("eth0", [f"{address}/24"], [gateway])
        assert [each["local"] for each in show(host, "-4 addr show eth0")["addr_info"]] == [address]  # type: ignore[union-attr]
        assert show(host, "route show default")["gateway"] == gateway
    with pytest.raises(OSError, match="gone"):
        netlink.configure_interface("gone", ["10.10.0.2/24"])
    with pytest.raises(OSError, match="invalid gateway"):
        netlink.configure_interface("eth0", ["10.10.0.2/24"], ["203.0.113.1"])
    host.sh("ip link del eth0")


def test_a_reused_address_works_at_once(host: Host, tmp_path: pathlib.Path) -> None:
    """Its neighbours remember where it was; the next one with that address is found there all the same."""
    lab = Lab(host, str(tmp_path))
    lab.populate()
    lab.c1.serve("tcp", 80)
    assert lab.c2.call("10.10.0.2", 80) == "10.10.0.3"
    lab.act(lambda links: links.detach("cvc10"))
    lab.attach("c9", net_lab.A, "10.10.0.2", gateway="10.10.0.1", mac="02:00:00:00:00:09")
    heir = net_lab.Agent(host, lab.nodes["c9"])
    heir.serve("tcp", 80)
    assert lab.c2.call("10.10.0.2", 80, timeout_s=0.5) == "10.10.0.3"
    assert lab.agents["host"].call("10.10.0.2", 80, timeout_s=0.5) == "10.10.0.1"
    lab.close()


def test_so_does_one_that_an_interface_gets_which_is_up(host: Host, tmp_path: pathlib.Path) -> None:
    """The kernel itself announces only what an interface has when it comes up."""
    lab = Lab(host, str(tmp_path))
    lab.populate()
    lab.c1.serve("tcp", 80)
    assert lab.c2.call("10.10.0.2", 80) == "10.10.0.3"
    lab.attach("c9", net_lab.A, "10.10.0.9", gateway="10.10.0.1")
    lab.act(lambda links: links.detach("cvc10"))
    lab.configure("c9", net_lab.A, "10.10.0.2", gateway="10.10.0.1")
    heir = net_lab.Agent(host, lab.nodes["c9"])
    heir.serve("tcp", 80)
    assert lab.c2.call("10.10.0.2", 80, timeout_s=0.5) == "10.10.0.3"
    lab.close()


def test_routes_in_use(host: Host, bridge: Bridge) -> None:
    host.sh("ip link add name ext0 type bridge; ip link set ext0 up; ip addr add 192.0.2.1/24 dev ext0")
    host.sh(
        "ip route add default via 192.0.2.9; ip route add 172.20.0.0/16 via 192.0.2.9; ip route add 0.0.0.0/1 via 192.0.2.9"
    )
    host.sh("ip link add name ext1 type bridge; ip addr add 198.51.100.1/24 dev ext1")  # down: no route yet
    assert routes.taken(dump(host), ["cblab"]) == (
        ("172.20.0.0/16", "a route of ext0"),
        ("192.0.2.0/24", "a route of ext0"),
        ("192.0.2.0/24", "an address of ext0"),
        ("198.51.100.0/24", "an address of ext1"),
    )
    host.sh("ip link del ext0; ip link del ext1")


def test_a_dump_of_many_links(host: Host) -> None:
    host.sh("for i in $(seq 200); do echo link add d$i type bridge; done | ip -batch -")
    found = {link.name: link for link in links.links()}
    assert len(found) == 201
    assert found["d7"].kind == "bridge"


def test_hints(host: Host) -> None:
    async def listen() -> None:
        async with hints.listening() as told:
            for command, expected in [
                ("ip link add d0 type bridge", Hint.INTERFACES),
                ("iptables-nft -N MINE", Hint.FIREWALL),
                ("ip link set d0 up", Hint.INTERFACES),
                ("ip addr add 10.9.0.1/24 dev d0", Hint.INTERFACES),
                ("nft flush ruleset", Hint.FIREWALL),
                ("ip link del d0", Hint.INTERFACES),
            ]:
                await anyio.to_thread.run_sync(host.sh, command)
                with anyio.fail_after(5):
                    assert await anext(told) is expected, command
            with anyio.fail_after(5):  # what the last change still stirs comes late on a busy machine; then it is quiet
                quiet = False
                while not quiet:
                    with anyio.move_on_after(0.2) as waiting:
                        await anext(told)
                    quiet = waiting.cancelled_caught

    anyio.run(listen)


def test_many_changes_lose_no_hint(host: Host) -> None:
    async def listen() -> None:
        async with hints.listening() as told:
            host.sh("for i in $(seq 300); do echo link add d$i type bridge; done | ip -batch -")
            with anyio.fail_after(5):
                assert await anext(told) is Hint.INTERFACES

    anyio.run(listen)
