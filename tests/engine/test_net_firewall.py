"""What reaches what, and what must not: real packets between namespaces, with both flavours of iptables."""

import pathlib
import subprocess
from collections.abc import Iterator

import anyio
import pytest

from engine import errors, sysctls
from engine.network import iptables, portmap, rulesets
from engine.network.firewall import Firewall, Rules
from engine.network.portmap import Member
from tests.engine import net_lab
from tests.engine.host_namespace import Host
from tests.engine.net_lab import EXTERNAL, LAN, REFUSED, SILENCE, Lab

pytestmark = pytest.mark.root
GUARD = portmap.chain_of(net_lab.INSTANCE, "RAW")
NAT_IN = portmap.chain_of(net_lab.INSTANCE, "PRE")
NAT_OUT = portmap.chain_of(net_lab.INSTANCE, "OUT")
END = portmap.chain_of(net_lab.INSTANCE, "END")
FORWARD = portmap.chain_of(net_lab.INSTANCE, "FWD")


@pytest.fixture(params=["iptables-nft", "iptables-legacy"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(host: Host, tmp_path: pathlib.Path, program: str) -> Iterator[Lab]:
    lab = Lab(host, str(tmp_path), program=program)
    lab.populate()
    for name in ("c1", "c2", "c3"):
        lab.agents[name].serve("tcp", 80, 81)
        lab.agents[name].serve("udp", 90)
    lab.agents["lan"].serve("tcp", 7000)
    lab.agents["host"].serve("tcp", 9999)
    lab.apply()
    yield lab
    lab.close()


def bridged_packets_are_filtered(host: Host, on: bool) -> None:
    host.sh(f"sysctl -qw net.bridge.bridge-nf-call-iptables={int(on)}", check=on)


def lan_routes_loopback_here(lab: Lab) -> None:
    lab.lan.sh(
        "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.l0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo"
    )
    lab.lan.sh(
        f"ip route add 127.0.0.0/8 via {EXTERNAL} src {LAN}; ip rule add pref 0 from all lookup main", check=False
    )


@pytest.mark.parametrize("filtered", [True, False], ids=["br_netfilter", "plain"])
def test_ports_egress_and_isolation(lab: Lab, filtered: bool) -> None:
    bridged_packets_are_filtered(lab.host, filtered)
    lan, host, c1, c2, c3 = lab.agents["lan"], lab.agents["host"], lab.c1, lab.c2, lab.c3
    assert lan.call(EXTERNAL, 8080) == LAN, "the client's address is kept"
    assert lan.call(EXTERNAL, 9090, "udp") == LAN
    assert host.call("127.0.0.1", 8080) == "10.10.0.1"
    assert host.call(EXTERNAL, 8080) == EXTERNAL
    assert host.call("127.0.0.1", 8081) == "10.10.0.1"
    assert host.call("127.0.0.1", 9090, "udp") == "10.10.0.1"
    assert lan.try_in_vain(EXTERNAL, 8081) == REFUSED, "bound to 127.0.0.1"
    assert c1.call(EXTERNAL, 8080) == "10.10.0.1", "itself, by hairpin"
    assert c1.call(EXTERNAL, 9090, "udp") == "10.10.0.1"
    assert c2.call(EXTERNAL, 8080) == "10.10.0.1"
    assert c3.call(EXTERNAL, 8080) == "10.11.0.2", "another network's client keeps its address too"
    assert c3.call("10.11.0.1", 8080) == "10.11.0.2"
    assert c1.call(EXTERNAL, 8082) == "10.10.0.2", "and the other way"
    assert c2.call("10.10.0.2", 80) == "10.10.0.3"
    assert c3.try_in_vain("10.10.0.2", 80) == SILENCE, "isolation"
    assert c1.try_in_vain("10.11.0.2", 80) == SILENCE
    assert c1.call(LAN, 7000) == EXTERNAL, "egress is masqueraded"


def test_a1_straight_to_a_containers_address(lab: Lab) -> None:
    lab.lan.sh(f"ip route add 10.10.0.0/24 via {EXTERNAL}")
    lan = lab.agents["lan"]
    assert lan.try_in_vain("10.10.0.2", 80) == SILENCE
    lab.host.sh(f"{lab.program} -t raw -F {GUARD}")
    assert lan.try_in_vain("10.10.0.2", 80) == SILENCE, "the forward chain is the second guard"
    lab.host.sh(f"{lab.program} -F {FORWARD}; {lab.program} -F {END}")
    assert lan.call("10.10.0.2", 80) == LAN, "without both it succeeds: the attack is real"
    lab.apply()
    assert lan.try_in_vain("10.10.0.2", 80) == SILENCE


def test_a2_to_a_port_bound_to_loopback_from_the_lan(lab: Lab) -> None:
    lan_routes_loopback_here(lab)
    lan = lab.agents["lan"]
    assert lan.try_in_vain("127.0.0.1", 8081) == SILENCE
    lab.host.sh(f"{lab.program} -t raw -F {GUARD}")
    assert lan.try_in_vain("127.0.0.1", 8081) == SILENCE, "what is bound to 127.0.0.1 is not led on from outside"
    lab.host.sh(f"{lab.program} -t nat -I {NAT_IN} -j {NAT_OUT}")
    assert lan.call("127.0.0.1", 8081) == LAN, "without both it succeeds: the attack is real"
    lab.apply()
    assert lan.try_in_vain("127.0.0.1", 8081) == SILENCE


def test_a3_to_a_service_on_the_machines_loopback_from_a_container(lab: Lab) -> None:
    lab.nodes["c1"].sh(
        "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; ip rule add pref 0 lookup main"
    )
    lab.nodes["c1"].sh("ip route add 127.0.0.1/32 via 10.10.0.1")
    assert lab.c1.try_in_vain("127.0.0.1", 9999) == SILENCE
    lab.host.sh(f"{lab.program} -t raw -F {GUARD}")
    assert lab.c1.call("127.0.0.1", 9999) == "10.10.0.2", "without the guard it succeeds: the attack is real"
    lab.apply()
    assert lab.c1.try_in_vain("127.0.0.1", 9999) == SILENCE


def test_localhost_is_routed_only_where_a_port_needs_it(lab: Lab) -> None:
    lab.apply(Rules(net_lab.MEMBERS, (net_lab.LOOPBACK_81,)))
    assert sysctls.read("net.ipv4.conf.cbA.route_localnet") == "1"
    assert sysctls.read("net.ipv4.conf.cbB.route_localnet") == "0"
    lab.apply(Rules(net_lab.MEMBERS))
    assert sysctls.read("net.ipv4.conf.cbA.route_localnet") == "0"


@pytest.mark.parametrize("filtered", [True, False], ids=["br_netfilter", "plain"])
def test_beside_a_foreign_policy_of_drop(lab: Lab, filtered: bool) -> None:
    bridged_packets_are_filtered(lab.host, filtered)
    lab.host.sh(f"{lab.program} -P FORWARD DROP; {lab.program} -P INPUT DROP")
    lan, host = lab.agents["lan"], lab.agents["host"]
    assert lan.call(EXTERNAL, 8080) == LAN
    assert lab.c2.call("10.10.0.2", 80) == "10.10.0.3"
    assert lab.c1.call(EXTERNAL, 8080) == "10.10.0.1"
    assert lab.c1.call(LAN, 7000) == EXTERNAL
    assert host.call("10.10.0.2", 80) == "10.10.0.1", "answers to what this machine began come in"
    assert lab.c3.try_in_vain("10.10.0.2", 80) == SILENCE
    assert lab.c1.try_in_vain("10.10.0.1", 9999) == SILENCE, "and nothing else of this machine is opened"
    assert lab.drift() == ()


def test_docker_user_is_used_where_it_exists(lab: Lab) -> None:
    ipt = lab.program
    lab.host.sh(f"{ipt} -N DOCKER-USER; {ipt} -I FORWARD -j DROP; {ipt} -I FORWARD -j DOCKER-USER")
    assert lab.agents["lan"].try_in_vain(EXTERNAL, 8080) == SILENCE
    assert lab.drift() == (f"no jumps from DOCKER-USER of table filter to {FORWARD}",)
    lab.apply()
    assert lab.agents["lan"].call(EXTERNAL, 8080) == LAN


def test_internal(lab: Lab) -> None:
    secret = Member("cbB", "10.11.0.0/24", "10.11.0.1", internal=True)
    lab.apply(Rules((net_lab.MEMBERS[0], secret), net_lab.RULES.published))
    assert lab.c3.try_in_vain(LAN, 7000) == SILENCE
    assert lab.c3.try_in_vain(EXTERNAL, 8080) == SILENCE
    assert lab.c3.try_in_vain("10.10.0.2", 80) == SILENCE
    assert lab.agents["host"].call("10.11.0.2", 80) == "10.11.0.1"


def test_a_machine_that_did_not_route_does_not_begin_to(lab: Lab) -> None:
    other = lab.host.neighbour("other")
    lab.host.sh(f"ip link add name ext1 type veth peer name l0 netns {other.pid}")
    lab.host.sh("ip addr add 198.51.100.1/24 dev ext1; ip link set ext1 up")
    other.sh("ip addr add 198.51.100.2/24 dev l0; ip link set l0 up; ip route add default via 198.51.100.1")
    lab.lan.sh(f"ip route add 198.51.100.0/24 via {EXTERNAL}")
    agent = net_lab.Agent(lab.host, other)
    agent.serve("tcp", 80)
    assert lab.agents["lan"].try_in_vain("198.51.100.2", 80) == SILENCE
    lab.host.sh(
        f"{lab.program} -I FORWARD -i ext0 -o ext1 -j ACCEPT; {lab.program} -I FORWARD -o ext0 -i ext1 -j ACCEPT"
    )
    assert lab.agents["lan"].call("198.51.100.2", 80) == LAN, "who wants that says so"


def test_nothing_is_left(host: Host, tmp_path: pathlib.Path, program: str) -> None:
    before = host.sh("iptables-nft-save; nft list ruleset; sysctl net.ipv4.ip_forward net.ipv4.conf.all.route_localnet")
    lab = Lab(host, str(tmp_path), program=program)
    lab.apply()
    assert sysctls.read("net.ipv4.ip_forward") == "1"
    lab.close()
    host.sh("ip link del ext0")
    assert (
        host.sh("iptables-nft-save; nft list ruleset; sysctl net.ipv4.ip_forward net.ipv4.conf.all.route_localnet")
        == before
    )
    assert list(tmp_path.iterdir()) == []
    assert host.links() == set()


def test_a_bridge_of_ours_that_goes_at_the_same_time_needs_no_forwarding(lab: Lab) -> None:
    anyio.run(lab.firewall.remove, [bridge.name for bridge in net_lab.BRIDGES])
    assert sysctls.read("net.ipv4.ip_forward") == "0"


def test_forwarding_stays_on_for_somebody_else(host: Host, tmp_path: pathlib.Path, program: str) -> None:
    lab = Lab(host, str(tmp_path), program=program)
    lab.apply()
    host.sh(f"{program} -A FORWARD -i tun0 -j ACCEPT")
    lab.close()
    assert sysctls.read("net.ipv4.ip_forward") == "1"


def test_others_rules_and_tables_stay(host: Host, tmp_path: pathlib.Path, program: str) -> None:
    host.sh(f"{program} -A INPUT -s 203.0.113.9 -j DROP; {program} -t nat -N MINE")
    save = f"{program}-save | grep -v '^#' | sed 's/\\[.*\\]//'"
    before = host.sh(save)
    lab = Lab(host, str(tmp_path), program=program)
    lab.apply()
    host.sh(f"{program} -t raw -A OUTPUT -d 203.0.113.9 -j DROP")
    lab.close()
    after = host.sh(save)
    for line in before.splitlines():
        assert line in after
    assert "-A OUTPUT -d 203.0.113.9/32 -j DROP" in after, "what came into a table of ours keeps the table"


@pytest.mark.parametrize(
    "damage",
    [
        "{0} -F",
        "{0} -t nat -F PREROUTING",
        "{0} -t raw -D PREROUTING 1",
        "{0} -I FORWARD -j {1}",
        "{0} -A {1} -j ACCEPT",
        "{0} -t nat -N CORRAL-0123abcd-OLD",
    ],
)
def test_damage_is_seen_and_mended(lab: Lab, damage: str) -> None:
    assert lab.drift() == ()
    lab.host.sh(damage.format(lab.program, FORWARD))
    assert lab.drift()
    lab.apply()
    assert lab.drift() == ()
    lab.apply()
    assert lab.host.sh(f"{lab.program}-save").count(f"-A FORWARD -j {FORWARD}\n") == 1
    assert lab.agents["lan"].call(EXTERNAL, 8080) == LAN


@pytest.mark.parametrize("program", ["iptables-nft"])  # the legacy tables have no generation
def test_after_a_swap_of_ours_nothing_is_read_back_at_once_and_changes_of_others_are(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = Rules(net_lab.MEMBERS, net_lab.RULES.published[:1])
    lab.apply(fewer)
    saves: list[dict[str, rulesets.Saved]] = []
    save = iptables.Iptables.save

    async def counted(tool: iptables.Iptables) -> dict[str, rulesets.Saved]:
        saves.append(await save(tool))
        return saves[-1]

    monkeypatch.setattr(iptables.Iptables, "save", counted)
    for rules in (net_lab.RULES, fewer, net_lab.RULES):
        lab.apply(rules)
        assert anyio.run(lambda now=rules: lab.firewall.drift(lambda: now, sure=False)) == ()
    assert saves == []
    assert lab.drift() == ()
    assert len(saves) == 1
    lab.apply(fewer)
    lab.host.sh(f"{lab.program} -A {FORWARD} -j ACCEPT")
    assert anyio.run(lambda: lab.firewall.drift(lambda: fewer, sure=False)) != ()


def test_what_a_swap_under_way_changes_is_no_drift(lab: Lab) -> None:
    """The kernel tells of our own swaps too: whoever asks then is asked what is wanted once the swap is over."""
    asked = [net_lab.RULES]
    found: list[tuple[str, ...]] = []

    async def change() -> None:
        asked[0] = Rules(net_lab.MEMBERS, net_lab.RULES.published[:1])
        await lab.firewall.apply(lambda: asked[0])

    async def look() -> None:
        found.append(await lab.firewall.drift(lambda: asked[0]))

    async def both() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(change)
            await anyio.sleep(0.001)
            tasks.start_soon(look)

    anyio.run(both)
    assert found == [()]


@pytest.mark.parametrize("program", ["iptables-nft"])  # nft does not know the legacy tables
def test_flushed_ruleset(lab: Lab) -> None:
    lab.host.sh("nft flush ruleset")
    assert len(lab.drift()) > 10
    lab.apply()
    assert lab.drift() == ()


def test_two_corrals_side_by_side(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Each owns one of the two networks: they stay apart, published ports work across."""
    second_directory = tmp_path / "second"
    second_directory.mkdir()
    second = Firewall(instance="99999999", run_directory=str(second_directory), dns_port=1, program=lab.program)
    lab.apply(Rules((net_lab.MEMBERS[0],), net_lab.RULES.published))
    anyio.run(second.apply, lambda: Rules((net_lab.MEMBERS[1],)))
    assert lab.c3.call(EXTERNAL, 8080) == "10.10.0.1"
    assert lab.c3.call(LAN, 7000) == EXTERNAL
    assert lab.c1.call(LAN, 7000) == EXTERNAL
    assert lab.c3.try_in_vain("10.10.0.2", 80) == SILENCE
    assert lab.c1.try_in_vain("10.11.0.2", 80) == SILENCE
    anyio.run(second.remove)
    assert sysctls.read("net.ipv4.ip_forward") == "1"


def test_what_others_drop_is_said(host: Host) -> None:
    def said(program: str) -> tuple[str, ...]:
        return anyio.run(iptables.obstacles, iptables.find(program))

    assert said("iptables-nft") == ()
    assert said("iptables-legacy") == ()
    host.sh("iptables-nft -P FORWARD DROP")
    assert said("iptables-nft") == (), "our own flavour: there we come first"
    assert said("iptables-legacy") == ("iptables-nft: policy DROP of FORWARD in table filter",)
    host.sh("iptables-nft -P FORWARD ACCEPT; iptables-legacy -A FORWARD -i eth7 -j DROP")
    assert said("iptables-nft") == ("iptables-legacy: rules in FORWARD of table filter: -i eth7 -j DROP",)
    host.sh("iptables-legacy -F")
    host.sh("nft 'add table inet wall; add chain inet wall way { type filter hook forward priority 0; policy drop; }'")
    assert said("iptables-nft") == ("nf_tables: inet wall/way drops what it does not know",)
    host.sh("nft delete table inet wall; iptables-legacy -P INPUT DROP")
    assert said("iptables-nft") == (
        "iptables-legacy: policy DROP of INPUT in table filter: containers ask this machine for names",
    )


def test_a_machine_without_iptables() -> None:
    with pytest.raises(errors.EngineError, match="there is no iptables-none on this machine"):
        iptables.find("iptables-none")


def test_the_flavour_is_kept_until_the_end(lab: Lab) -> None:
    """The machine's iptables becomes the other one while we run."""
    other = {"iptables-nft": "iptables-legacy", "iptables-legacy": "iptables-nft"}[lab.program]
    second = Firewall(
        instance=net_lab.INSTANCE, run_directory=lab.run_directory, dns_port=net_lab.DNS_PORT, program=other
    )
    assert anyio.run(second.drift, lambda: net_lab.RULES) == ()
    assert "CORRAL" not in lab.host.sh(f"{other}-save")


def test_the_lock_of_xtables_is_waited_for(host: Host, tmp_path: pathlib.Path) -> None:
    lab = Lab(host, str(tmp_path), program="iptables-legacy")
    holder = host.popen("flock", "/run/xtables.lock", "sh", "-c", "echo; sleep 0.5", stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    lab.apply()
    assert holder.wait(0.1) == 0, "not before it was free"
    lab.close()


def test_callers_at_the_same_time_share_a_swap(lab: Lab) -> None:
    asked = []

    def wanted() -> Rules:
        asked.append(1)
        return Rules(net_lab.MEMBERS, net_lab.RULES.published[: len(asked)])

    async def all_at_once() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(lab.firewall.apply, wanted)

    anyio.run(all_at_once)
    assert len(asked) <= 2
    assert lab.drift(Rules(net_lab.MEMBERS, net_lab.RULES.published[: len(asked)])) == ()


def test_without_its_guard_loopback_is_closed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard is gone and cannot be put back: then nothing is routed to 127.0.0.0/8, and the next try mends both."""
    lab.host.sh(f"{lab.program} -t raw -F {GUARD}")

    async def fail(self: iptables.Iptables, text: str) -> None:
        raise errors.EngineError("refused")

    with monkeypatch.context() as broken:
        broken.setattr(iptables.Iptables, "restore", fail)
        with pytest.raises(errors.EngineError, match="refused"):
            lab.apply()
    assert sysctls.read("net.ipv4.conf.cbA.route_localnet") == "0"
    assert lab.agents["host"].try_in_vain("127.0.0.1", 8081) != "10.10.0.1"
    lab.apply()
    assert lab.agents["host"].call("127.0.0.1", 8081) == "10.10.0.1"
    assert lab.drift() == ()
