"""`corral network`: networks of no project, as the kernel has them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually


@pytest.fixture
def shared(lab: Lab) -> Iterator[Lab]:
    """A lab whose shared networks go with it."""
    yield lab
    lab.end()
    lab.corral("network", "prune", "-f")


def joining(*networks: str, **more: str) -> str:
    lines = [
        "services:",
        "  a: {image: IMAGE, init: true, command: sleep 1000, networks: [" + ", ".join(networks) + "]}",
    ]
    declared = ["networks:", *(f"  {name}: {more.get(name, '{}')}" for name in networks)]
    return "\n".join([*lines, *declared]) + "\n"


def bridges(lab: Lab) -> dict[str, str]:
    """Mapping from address/prefix to the bridge that has it, on this machine."""
    links = json.loads(lab.machine.sh("ip -j -4 addr show type bridge"))
    return {
        f"{each['local']}/{each['prefixlen']}": link["ifname"] for link in links for each in link.get("addr_info", ())
    }


@pytest.mark.key("networks.external")
def test_two_projects_meet_in_a_network_of_neither(shared: Lab) -> None:
    lab = shared
    lab.corral("network", "create", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.9", "meeting")
    assert "10.77.0.9/24" in bridges(lab)
    external = "{name: meeting, external: true}"
    lab.up(joining("meeting", meeting=external))
    with lab.owner.lab("other") as other:
        other.up(joining("meeting", meeting=external))
        assert lab.exec("a", "ping", "-c", "1", "-W", "2", other.address("a"))
        assert "declared by project" in lab.refusal("network", "rm", "meeting")
        found = json.loads(lab.out("network", "inspect", "meeting"))[0]
        assert {each["IPv4Address"] for each in found["Containers"].values()} == {
            f"{lab.address('a')}/24",
            f"{other.address('a')}/24",
        }
        other.corral("down", "-t", "0")
        assert "10.77.0.9/24" in bridges(lab), "it was not the project's"
    lab.corral("down", "-t", "0")
    lab.corral("network", "rm", "meeting")
    assert "10.77.0.9/24" not in bridges(lab)
    assert lab.out("network", "ls", "-q") == ""


def test_it_is_kept_like_a_projects(shared: Lab) -> None:
    lab = shared
    lab.corral("network", "create", "--subnet", "10.78.0.0/24", "lasting")
    lab.machine.sh(f"ip link del {bridges(lab)['10.78.0.1/24']}")
    eventually(lambda: "10.78.0.1/24" in bridges(lab))
    lab.kill("corral daemon")
    lab.machine.sh(f"ip link del {bridges(lab)['10.78.0.1/24']}")
    lab.corral("daemon", "start")
    eventually(lambda: "10.78.0.1/24" in bridges(lab))


def addresses(link: dict[str, Any]) -> set[str]:
    """Those that somebody gave it, with their prefix."""
    return {f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["scope"] == "global"}


def test_create_with_both_families_or_the_newer_alone(shared: Lab) -> None:
    lab = shared
    pools = ("--subnet", "10.80.0.0/24", "--subnet", "fd80::/64", "--gateway", "fd80::9", "--ip-range", "10.80.0.8/30")
    reserved = ("--aux-address", "router=10.80.0.8", "--aux-address", "printer=10.80.0.9")
    lab.corral("network", "create", "--ipv6", *pools, *reserved, "meeting")
    lab.corral("network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd81::/64", "newer")
    links = json.loads(lab.machine.sh("ip -j addr show type bridge"))
    assert sorted(map(sorted, map(addresses, links))) == [["10.80.0.1/24", "fd80::9/64"], ["fd81::1/64"]]
    lab.up(joining("meeting", "newer", meeting="{external: true}", newer="{external: true}"))
    inside = [link for link in json.loads(lab.place("a").sh("ip -j addr")) if link["ifname"] != "lo"]
    four, six = sorted(inside, key=lambda link: "10." not in str(addresses(link)))
    assert addresses(four) & {"10.80.0.10/24", "10.80.0.11/24"}, "the only ones of the range that nobody has"
    assert [each for each in addresses(six) if ":" not in each] == []
    assert any(each.startswith("fd81::") for each in addresses(six))


def test_internal_leads_nowhere(shared: Lab) -> None:
    lab = shared
    lab.corral("network", "create", "--internal", "inner")
    lab.up(joining("inner", inner="{external: true}"))
    assert machine.run("nsenter", "-t", str(lab.pid("a")), "-n", "ip", "route", "show", "default") == ""


def test_listing_and_refusals(shared: Lab) -> None:
    lab = shared
    made = lab.out("network", "create", "--label", "a=b", "one").strip()
    lab.up(joining("mine"))
    heads, *lines = lab.out("network", "ls").splitlines()
    assert heads.startswith("NETWORK ID")
    assert [line.split()[1:] for line in lines] == [
        ["one", "bridge", "local"],
        [f"{lab.project}_mine", "bridge", "local", lab.project],
    ]
    assert "already" in lab.refusal("network", "create", "one")
    assert "overlaps" in lab.refusal("network", "create", "--subnet", "203.0.113.0/25", "two")
    assert "takes it away with its project" in lab.refusal("network", "rm", f"{lab.project}_mine")
    assert lab.out("network", "rm", made[:8]) == "one\n"


# ------------------------------------------------------------------------------------------------ connect and disconnect


def interfaces(lab: Lab, service: str) -> dict[str, str]:
    """Mapping from a container's interface to its address."""
    links = json.loads(lab.place(service).sh("ip -j -4 addr"))
    return {
        link["ifname"]: each["local"] for link in links for each in link.get("addr_info", ()) if link["ifname"] != "lo"
    }


def test_connect_is_a_new_cable_for_the_same_process(shared: Lab) -> None:
    lab = shared
    lab.corral("network", "create", "--subnet", "10.79.0.0/24", "meeting")
    lab.up(joining("mine"))
    lab.corral("network", "connect", "meeting", "a")
    lab.corral("network", "disconnect", "meeting", "a")  # a bridge that had a member looks otherwise than a new one
    eventually(lambda: "NO-CARRIER" in lab.machine.sh("ip link show type bridge"))
    with lab.owner.lab("other") as other:
        other.up(joining("meeting", meeting="{external: true}"))
        pid, before = lab.pid("a"), interfaces(lab, "a")
        lab.corral("network", "connect", "--ip", "10.79.0.33", "--alias", "guest", "meeting", "a")
        after = interfaces(lab, "a")
        assert set(after.values()) - set(before.values()) == {"10.79.0.33"}
        assert before.items() <= after.items()
        assert "10.79.0.33" in other.exec("a", "ping", "-c", "1", "-W", "2", "guest")
        assert "takes back corral network connect" in lab.corral("plan", code=2).stdout
        lab.kill("corral daemon")
        lab.place("a").sh(f"ip link del {next(name for name, address in after.items() if address == '10.79.0.33')}")
        lab.corral("daemon", "start")
        eventually(lambda: "10.79.0.33" in interfaces(lab, "a").values())
        lab.corral("network", "disconnect", "meeting", "a")
        assert interfaces(lab, "a") == before
        lab.corral("network", "connect", "meeting", f"{lab.project}-a-1")
        assert len(interfaces(lab, "a")) == 2
        lab.up()
        assert interfaces(lab, "a") == before
        assert lab.pid("a") == pid


def test_connect_with_addresses_of_both_families_the_default_route_and_a_setting(shared: Lab) -> None:
    lab = shared
    subnets = ("--subnet", "10.81.0.0/24", "--subnet", "fd81::/64")
    lab.corral("network", "create", "--ipv6", *subnets, "meeting")
    lab.up(joining("mine"))
    pid = lab.pid("a")

    def way_out(*family: str) -> list[str]:
        routes = json.loads(
            machine.run("nsenter", "-t", str(pid), "-n", "ip", "-j", *family, "route", "show", "default")
        )
        return [route["gateway"] for route in routes]

    before = way_out()
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    more = ("--link-local-ip", "169.254.8.8", "--driver-opt", option)
    lab.corral(
        "network", "connect", "--ip", "10.81.0.7", "--ip6", "fd81::7", "--gw-priority", "1", *more, "meeting", "a"
    )
    links = json.loads(lab.place("a").sh("ip -j addr"))
    link = next(each for each in links if "fd81::7" in str(each["addr_info"]))
    given = {each["local"] for each in link["addr_info"]}
    assert {"10.81.0.7", "fd81::7", "169.254.8.8"} < given
    assert (way_out(), way_out("-6")) == (["10.81.0.1"], ["fd81::1"])
    setting = f"/proc/sys/net/ipv4/conf/{link['ifname']}/log_martians"
    assert machine.run("nsenter", "-t", str(pid), "-n", "cat", setting).strip() == "1"
    lab.corral("network", "disconnect", "--force", "meeting", "a")
    assert (way_out(), way_out("-6")) == (before, [])
    lab.corral("network", "connect", "--gw-priority", "-1", "meeting", "a")
    assert way_out() == before
    assert lab.pid("a") == pid


def test_disconnect_holds_until_up(shared: Lab) -> None:
    lab = shared
    lab.up(joining("mine", "more"))
    pid = lab.pid("a")
    lab.corral("network", "disconnect", "more", "a")
    assert len(interfaces(lab, "a")) == 1
    lab.corral("restart", "-t", "0")
    assert len(interfaces(lab, "a")) == 1
    pid = lab.pid("a")
    lab.corral("network", "disconnect", "mine", "a")
    assert interfaces(lab, "a") == {}
    lab.up()
    assert len(interfaces(lab, "a")) == 2
    assert lab.pid("a") == pid
