"""What `corral plan` says of the keys of networks: what changes in place, and what makes a cable or a network anew."""

import inspect
from typing import Any

import pytest
from scenes import Scene, port, project, service

from engine.types.configs import ContainerConfig, EndpointConfig, NetworkConfig
from engine.types.infos import NetworkInfo, Taken
from engine.types.parts import PortMap
from reconciler.errors import Conflict

MTU = "com.docker.network.driver.mtu"
BRIDGE = "com.docker.network.bridge"
POOL = {"subnet": "10.9.0.0/24"}


def lab(*, pools: Any = (POOL,), **more: Any) -> dict[str, Any]:
    return {"lab": {"ipam": {"config": list(pools)}, **more}}


def one(networks: dict[str, Any], joined: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return project({"a": service(networks={"lab": joined or {}}, **fields)}, networks=networks)


def plan(before: dict[str, Any], after: dict[str, Any]) -> str:
    return Scene().up(before).come_true().up(after).plan()


def says(actual: str, expected: str) -> None:
    assert actual == inspect.cleandoc(expected)


def endpoint_of(scene: Scene, resource_id: str = "endpoint:a/lab") -> EndpointConfig:
    config = scene.desired.wanted[resource_id].config
    assert isinstance(config, EndpointConfig)
    return config


def network_of(scene: Scene) -> NetworkConfig:
    config = scene.desired.wanted["network:lab"].config
    assert isinstance(config, NetworkConfig)
    return config


def ports_of(scene: Scene) -> tuple[PortMap, ...]:
    config = scene.desired.wanted["container:a"].config
    assert isinstance(config, ContainerConfig)
    return config.ports


def test_options_of_a_bridge_change_in_place() -> None:
    options = {MTU: "1400", f"{BRIDGE}.enable_icc": "false", f"{BRIDGE}.enable_ip_masquerade": "false"}
    says(
        plan(one(lab()), one(lab(driver_opts=options))),
        """
        ~ endpoint:a/lab  update   mtu 1500 -> 1400, live
        ~ network:lab     update   mtu 1500 -> 1400, live, enable_icc true -> false, live, enable_ip_masquerade true -> false, live
        3 resources are as declared
        """,
    )


def test_another_bridge_is_another_network_and_the_container_runs_on() -> None:
    said = plan(one(lab()), one(lab(driver_opts={f"{BRIDGE}.name": "br-lab"})))
    assert "network:lab     replace  bridge name none -> br-lab" in said
    assert "endpoint:a/lab  replace" in said
    assert "container:a" not in said


def test_ipv6_makes_the_network_anew_and_the_container_runs_on() -> None:
    six = lab(pools=(POOL, {"subnet": "fd12::/64"}), enable_ipv6=True)
    said = plan(one(lab()), one(six))
    assert "IPv6 subnet none -> fd12::/64" in said
    assert "ipv6_address none -> fd12::2" in said
    assert "container:a" not in said


@pytest.mark.parametrize(
    ("joined", "words"),
    [
        ({"mac_address": "02-42-AC-00-00-01"}, "mac_address none -> 02:42:ac:00:00:01"),
        ({"interface_name": "lan0"}, "interface_name none -> lan0"),
        ({"link_local_ips": ["169.254.1.1"]}, "link_local_ips +169.254.1.1"),
        (
            {"driver_opts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}},
            "endpoint sysctls +net.ipv4.conf.IFNAME.log_martians=1",
        ),
    ],
)
def test_what_makes_a_cable_anew(joined: dict[str, Any], words: str) -> None:
    said = plan(one(lab()), one(lab(), joined))
    assert f"endpoint:a/lab  replace  {words}" in said
    assert "container:a" not in said


def test_the_default_route_moves_in_place() -> None:
    def pair(priority: int) -> dict[str, Any]:
        return project({"a": service(networks={"one": {}, "two": {"gw_priority": priority}})})

    said = plan(pair(0), pair(5))
    assert "endpoint:a/one  update   default route true -> false, live" in said
    assert "endpoint:a/two  update   default route false -> true, live" in said


def test_a_network_added_does_not_rename_the_interfaces_that_stand() -> None:
    two = project({"a": service(networks={"lab": {}, "more": {}})}, networks=lab())
    assert "endpoint:a/lab" not in plan(one(lab()), two)


def test_interfaces_are_named_in_the_order_of_joining() -> None:
    joined = {"b": {}, "a": {}, "first": {"priority": 9}, "named": {"interface_name": "eth1"}}
    scene = Scene().up(project({"a": service(networks=joined)}))
    found = {key: endpoint_of(scene, f"endpoint:a/{key}") for key in joined}
    assert {key: each.interface or each.likely_interface for key, each in found.items()} == {
        "first": "eth0",
        "named": "eth1",
        "a": "eth2",
        "b": "eth3",
    }


def test_a_subnet_of_ours_is_local_unique_and_stays() -> None:
    scene = Scene().up(one({"lab": {"enable_ipv6": True}}))
    chosen = network_of(scene).subnet6
    assert chosen.startswith("fd")
    assert chosen.endswith("::/64")
    assert network_of(scene).gateway6 == chosen.replace("/64", "1")
    assert endpoint_of(scene).address6 == chosen.replace("/64", "2")
    assert endpoint_of(scene).primary6
    assert network_of(Scene().up(one({"lab": {"enable_ipv6": True}}))).subnet6 == chosen
    scene.taken = Taken(subnets=((chosen, "a route"),))
    assert network_of(scene.up(one({"lab": {"enable_ipv6": True}}))).subnet6 != chosen


def test_a_network_of_ipv6_alone_has_no_ipv4() -> None:
    scene = Scene().up(one({"lab": {"enable_ipv6": True, "enable_ipv4": False}}, ports=[port("8080")]))
    assert (network_of(scene).subnet, endpoint_of(scene).address, endpoint_of(scene).primary) == ("", "", False)
    assert ports_of(scene) == (PortMap("::", 8080, 80),)


@pytest.mark.parametrize(
    ("networks", "published", "hosts"),
    [
        (lab(), port("8080"), ["0.0.0.0"]),
        (lab(enable_ipv6=True), port("8080"), ["0.0.0.0", "::"]),
        (lab(enable_ipv6=True), port("8080", host_ip="0.0.0.0"), ["0.0.0.0"]),
        (lab(enable_ipv6=True), port("8080", host_ip="0:0::1"), ["::1"]),
        (lab(driver_opts={f"{BRIDGE}.host_binding_ipv4": "127.0.0.1"}), port("8080"), ["127.0.0.1"]),
        (lab(enable_ipv6=True, driver_opts={f"{BRIDGE}.host_binding_ipv4": "127.0.0.1"}), port("8080"), ["127.0.0.1"]),
    ],
)
def test_where_a_port_is_published(networks: dict[str, Any], published: dict[str, Any], hosts: list[str]) -> None:
    assert [each.host_ip for each in ports_of(Scene().up(one(networks, ports=[published])))] == hosts


def test_a_port_cannot_lead_to_a_family_that_the_service_has_not() -> None:
    with pytest.raises(Conflict, match=r"services.a.ports.0: ::1 leads to IPv6, and no network of the service has it"):
        Scene().up(one(lab(), ports=[port("8080", host_ip="::1")]))


def test_a_port_that_somebody_has_by_one_family_is_refused() -> None:
    scene = Scene()
    scene.taken = Taken(ports=((PortMap("::", 8080, 0), "nginx (pid 7)"),))
    document = one(lab(enable_ipv6=True), ports=[port("8080")])
    with pytest.raises(Conflict, match="host port 8080/tcp :: is had by nginx"):
        scene.say(scene.stored.up(("/p/compose.yaml",), document, 1.0), refuse_taken=True)
    scene.say(scene.stored.up(("/p/compose.yaml",), one(lab(), ports=[port("8080")]), 1.0), refuse_taken=True)


def test_a_bridge_that_somebody_has_is_refused_and_ours_is_not() -> None:
    scene = Scene()
    scene.taken = Taken(bridges=(("br-lab", "one of this machine's"),))
    document = one(lab(driver_opts={f"{BRIDGE}.name": "br-lab"}))
    with pytest.raises(Conflict, match="there is an interface br-lab already: one of this machine's"):
        scene.say(scene.stored.up(("/p/compose.yaml",), document, 1.0), refuse_taken=True)
    assert "network:lab" in scene.up(document).plan()


def test_reserved_addresses_are_not_handed_out() -> None:
    pools = (
        {**POOL, "aux_addresses": {"nas": "10.9.0.2"}},
        {"subnet": "fd12::/64", "aux_addresses": {"nas": "FD12::0:2"}},
    )
    scene = Scene().up(one(lab(pools=pools, enable_ipv6=True)))
    assert (endpoint_of(scene).address, endpoint_of(scene).address6) == ("10.9.0.3", "fd12::3")


def test_leases_of_before_have_no_ipv6() -> None:
    scene = Scene().up(one(lab()))
    stored = scene.stored.to_json()
    del stored["leases"]["subnets6"], stored["leases"]["addresses6"]
    assert type(scene.stored).from_json(stored) == scene.stored


def test_a_network_that_becomes_external_is_joined_and_the_one_before_goes() -> None:
    scene = Scene().up(one(lab())).come_true()
    scene.foreign.append(NetworkInfo(NetworkConfig("shared", "other", "theirs", "10.77.0.0/24", "10.77.0.1"), "n#1"))
    uids = scene.uids()
    said = scene.up(one({"lab": {"name": "shared", "external": True}})).plan()
    assert "endpoint:a/lab     replace  network p_lab -> shared" in said
    assert "network:lab/p_lab  remove   no longer declared" in said
    assert "network:lab " not in said
    scene.come_true()
    says(scene.plan(), "5 resources are as declared")
    assert [info.config.name for info in scene.look().networks] == ["shared"]
    assert scene.uids()["container:a"] == uids["container:a"]
    back = scene.up(one(lab())).plan()
    assert "network:lab     create" in back
    assert "endpoint:a/lab  replace" in back
    says(scene.come_true().plan(), "5 resources are as declared")
