"""What we choose where the file leaves it to us: sticky, unique, and never what somebody else has."""

from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import port, project, service, static, subnet

from engine.types.configs import ContainerConfig, NetworkConfig
from engine.types.infos import ContainerInfo, Look, NetworkInfo, Taken
from engine.types.parts import IdRange, PortMap
from reconciler import addressing, host_ports, id_leases, leases, slots
from reconciler.errors import Conflict
from reconciler.leases import Leases
from specs import validate

NOBODY = Taken()
BARE = Look()


def assigned(
    document: Any, before: Leases | None = None, taken: Taken = NOBODY, look: Look = BARE, **scale: int
) -> Leases:
    spec = validate.project(document)
    return leases.assign(spec, slots.of_project(spec, scale), before or Leases(), taken, look)


def refused(document: Any, taken: Taken, look: Look = BARE) -> str:
    spec = validate.project(document)
    members = slots.of_project(spec, {})
    chosen = leases.assign(spec, members, Leases(), NOBODY, look)
    with pytest.raises(Conflict) as caught:
        leases.refuse_taken(spec, members, chosen, taken, look)
    return str(caught.value)


def test_a_subnet_is_the_same_each_time_and_another_for_another_project():
    one, again = assigned(project({"a": service()})), assigned(project({"a": service()}))
    other = assigned(project({"a": service()}, name="q"))
    assert one == again
    assert one.subnets != other.subnets
    assert IPv4Network(one.subnets["lab"]).subnet_of(IPv4Network(addressing.POOLS[0]))


def test_a_subnet_avoids_routes_and_other_networks_and_stays_where_it_stands():
    document = project({"a": service()})
    first = assigned(document)
    taken = Taken(subnets=((first.subnets["lab"], "route of eth0"), ("0.0.0.0/0", "the default route")))
    moved = assigned(document, first, taken)
    assert not IPv4Network(moved.subnets["lab"]).overlaps(IPv4Network(first.subnets["lab"]))
    standing = NetworkInfo(NetworkConfig("p_lab", "p", "lab", first.subnets["lab"], ""), "n")
    assert assigned(document, first, taken, Look(networks=(standing,))).subnets == first.subnets


def test_when_a_pool_is_taken_whole_the_next_one_serves():
    taken = Taken(subnets=(("10.0.0.0/8", "vpn"),))
    assert IPv4Network(assigned(project({"a": service()}), taken=taken).subnets["lab"]).subnet_of(
        IPv4Network(addressing.POOLS[1])
    )
    with pytest.raises(Conflict, match=r"networks.lab: cannot choose a subnet"):
        assigned(project({"a": service()}), taken=Taken(subnets=(("128.0.0.0/1", "x"), ("0.0.0.0/1", "y"))))


def test_an_explicit_subnet_that_overlaps_a_route_names_the_route_before_anything_is_touched():
    document = project({"a": service()}, networks={"lab": subnet("10.9.0.0/24")})
    taken = Taken(subnets=(("10.9.0.0/16", "the route over eth1"),))
    message = refused(document, taken)
    assert message == "networks.lab.ipam.config.0.subnet: 10.9.0.0/24 overlaps 10.9.0.0/16 of the route over eth1"


def test_a_published_port_that_somebody_has_names_who():
    document = project({"a": service(ports=[port("80", host_ip="127.0.0.1")])})
    taken = Taken(ports=((PortMap("0.0.0.0", 80, 0), "nginx (pid 7)"),))
    assert refused(document, taken) == "services.a.ports: host port 80/tcp 127.0.0.1 is had by nginx (pid 7)"


def test_statics_are_reserved_before_anybody_gets_a_dynamic_address():
    services = {"a": service(), "b": service(networks=static("10.9.0.2")), "c": service()}
    found = assigned(project(services, networks={"lab": subnet("10.9.0.0/29")})).addresses
    assert found == {"endpoint:a/lab": "10.9.0.3", "endpoint:b/lab": "10.9.0.2", "endpoint:c/lab": "10.9.0.4"}


def test_dynamic_addresses_stay_and_come_back_and_what_was_just_freed_is_not_handed_out():
    lab = {"lab": subnet("10.9.0.0/29")}
    first = assigned(project({"a": service(), "b": service()}, networks=lab))
    without = assigned(project({"b": service()}, networks=lab), first)
    more = assigned(project({"b": service(), "c": service()}, networks=lab), without)
    assert more.addresses["endpoint:b/lab"] == first.addresses["endpoint:b/lab"]
    assert more.addresses["endpoint:c/lab"] not in first.addresses.values()
    back = assigned(project({"a": service(), "b": service(), "c": service()}, networks=lab), more)
    assert back.addresses["endpoint:a/lab"] == first.addresses["endpoint:a/lab"]


def test_a_freed_address_is_used_again_where_nothing_else_is_free_and_then_there_is_none():
    lab = {"lab": subnet("10.9.0.0/30")}
    first = assigned(project({"a": service()}, networks=lab))
    again = assigned(project({"b": service()}, networks=lab), first)
    assert again.addresses["endpoint:b/lab"] == "10.9.0.2"
    with pytest.raises(Conflict, match=r"services.b.networks.lab: no address of 10.9.0.0/30 is free"):
        assigned(project({"a": service(), "b": service()}, networks=lab))


def test_a_dynamic_address_that_becomes_somebodys_static_one_moves():
    lab = {"lab": subnet("10.9.0.0/24")}
    first = assigned(project({"a": service()}, networks=lab))
    had = first.addresses["endpoint:a/lab"]
    second = assigned(project({"a": service(), "b": service(networks=static(had))}, networks=lab), first)
    assert second.addresses["endpoint:b/lab"] == had
    assert second.addresses["endpoint:a/lab"] != had


def test_ip_range_and_gateway_are_honoured():
    lab = {"lab": subnet("10.9.0.0/24", ip_range="10.9.0.128/25", gateway="10.9.0.128")}
    assert assigned(project({"a": service()}, networks=lab)).addresses == {"endpoint:a/lab": "10.9.0.129"}
    foreign = NetworkInfo(NetworkConfig("shared", "q", "x", "10.8.0.0/24", "10.8.0.1"), "n")
    external = {"lab": {"name": "shared", "external": True}}
    found = assigned(project({"a": service()}, networks=external), look=Look(networks=(foreign,)))
    assert found.addresses == {"endpoint:a/lab": "10.8.0.2"}
    assert assigned(project({"a": service()}, networks=external)).addresses == {}


def test_a_static_address_outside_of_an_external_network_is_refused():
    foreign = NetworkInfo(NetworkConfig("shared", "q", "x", "10.8.0.0/24", "10.8.0.1"), "n")
    external = {"lab": {"name": "shared", "external": True}}
    expected = r"services.a.networks.lab.ipv4_address: 10.9.0.5 is not in 10.8.0.0/24 \(network lab\)"
    with pytest.raises(Conflict, match=expected):
        assigned(
            project({"a": service(networks=static("10.9.0.5"))}, networks=external), look=Look(networks=(foreign,))
        )


def test_ports_left_to_us_are_chosen_once_and_move_only_away_from_somebody_else():
    document = project({"a": service(ports=[port("")]), "b": service(ports=[port("")])})
    first = assigned(document)
    assert len(set(first.ports.values())) == 2
    assert all(host_ports.OUR_PORTS[0] <= number <= host_ports.OUR_PORTS[1] for number in first.ports.values())
    assert assigned(document, first) == first
    lost = first.ports["a 0.0.0.0::80/tcp"]
    moved = assigned(document, first, Taken(ports=((PortMap("0.0.0.0", lost, 0), "x"),)))
    assert moved.ports["a 0.0.0.0::80/tcp"] != lost
    assert moved.ports["b 0.0.0.0::80/tcp"] == first.ports["b 0.0.0.0::80/tcp"]


def test_a_range_gives_one_to_each_replica_until_it_is_used_up():
    document = project({"web": service(ports=[port("8000-8002")], scale=3)})
    assert sorted(assigned(document).ports.values()) == [8000, 8001, 8002]
    with pytest.raises(Conflict, match=r"services.web.ports: no host port of 8000-8002 is free for web-4"):
        assigned(document, web=4)
    with pytest.raises(Conflict, match=r"host port 80/tcp 0.0.0.0 is already published by web"):
        assigned(project({"web": service(ports=[port("80")])}), web=2)


def test_one_port_serves_two_addresses_and_two_protocols():
    ports = [port("80", host_ip="127.0.0.1"), port("80", host_ip="127.0.0.2"), port("80", 53, protocol="udp")]
    assert sorted(assigned(project({"a": service(ports=ports)})).ports.values()) == [80, 80, 80]


def test_a_scale_on_the_command_line_with_a_static_address_is_refused():
    lab = {"lab": subnet("10.9.0.0/24")}
    with pytest.raises(Conflict, match=r"10.9.0.5 is already the address of a \(network lab\)"):
        assigned(project({"a": service(networks=static("10.9.0.5"))}, networks=lab), a=2)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 12)), min_size=1, max_size=30))
def test_whatever_comes_and_goes_nobody_shares_and_nobody_who_stays_moves(edits: list[tuple[str, int]]):
    wanted: dict[str, Any] = {}
    now = Leases()
    for name, number in edits:
        if name in wanted:
            del wanted[name]
        else:
            wanted[name] = service(
                networks=static(f"10.9.0.{number}") if 2 <= number < 6 else ("lab",), ports=[port("")]
            )
        had = [str(one["networks"]["lab"]) for one in wanted.values() if one["networks"]["lab"]]
        if len(had) != len(set(had)):
            del wanted[name]
        before = now
        now = assigned(project(wanted, networks={"lab": subnet("10.9.0.0/28")}), before) if wanted else now
        ids = [f"endpoint:{key}/lab" for key in wanted]
        assert len({now.addresses[resource_id] for resource_id in ids}) == len(ids)
        assert len({now.ports[f"{key} 0.0.0.0::80/tcp"] for key in wanted}) == len(wanted)
        static_ones = {one["networks"]["lab"].get("ipv4_address") for one in wanted.values()}
        for key in wanted.keys() - {name}:
            resource_id = f"endpoint:{key}/lab"
            if before.addresses[resource_id] not in static_ones:
                assert now.addresses[resource_id] == before.addresses[resource_id]
    assert Leases.from_json(now.to_json()) == now


def test_an_address_that_another_project_has_in_the_same_network_is_left_to_it():
    shared = {"name": "p", "services": {"b": service()}, "networks": {"lab": {"name": "theirs", "external": True}}}
    standing = Look(networks=(NetworkInfo(NetworkConfig("theirs", "q", "lab", "10.9.0.0/24", "10.9.0.1"), "n1"),))
    taken = Taken(addresses=(("theirs", "10.9.0.2", "a of project q"), ("other", "10.9.0.3", "c of project r")))
    assert assigned(shared, taken=taken, look=standing).addresses == {"endpoint:b/lab": "10.9.0.3"}
    shared["services"] = {"b": service(networks=static("10.9.0.2"))}
    assert "10.9.0.2 is already the address of a of project q (network theirs)" in refused(shared, taken, standing)


def test_an_external_network_that_nobody_has_made_is_refused():
    shared = {"name": "p", "services": {"b": service()}, "networks": {"lab": {"name": "theirs", "external": True}}}
    assert "network theirs is external, and nobody has made it" in refused(shared, NOBODY)


def lonely(**fields: Any) -> Any:
    return service(userns_mode="auto", **fields)


def test_each_slot_in_a_user_namespace_has_ids_of_its_own_and_keeps_them():
    first = assigned(project({"a": lonely(), "b": lonely(), "c": service()}), a=2).ids
    assert first.keys() == {"a", "a-2", "b"}
    assert len(set(first.values())) == 3
    assert all(number in range(id_leases.POOL.first, id_leases.POOL.end, 65536) for number in first.values())
    more = assigned(project({"0": lonely(), "b": lonely(), "a": lonely()}), Leases(ids=first), a=2).ids
    assert {name: more[name] for name in first} == first
    assert more["0"] not in first.values()
    assert Leases.from_json(Leases(ids=first).to_json()).ids == first
    assert Leases.from_json({"subnets": {}, "addresses": {}, "ports": {}}).ids == {}


def test_nobody_elses_ids_are_taken_and_a_container_that_stands_keeps_its_own():
    document = project({"a": lonely()})
    first = assigned(document).ids["a"]
    taken = Taken(ids=((IdRange(first - 5, 10), "somebody"), (IdRange(first + 65536 * 2 - 1, 1), "somebody else")))
    assert assigned(document, taken=taken).ids == {"a": first + 65536 * 2}
    assert assigned(document, Leases(ids={"a": first}), taken).ids == {"a": first + 65536 * 2}
    standing = ContainerInfo(ContainerConfig("p-a-1", "p", "a", 1, "a", "a", "host", ids=IdRange(first)), "u", "host")
    assert assigned(document, Leases(ids={"a": first}), taken, Look(containers=(standing,))).ids == {"a": first}
    everything = Taken(ids=((IdRange(0, 2**32 - 1), "a greedy one"),))
    with pytest.raises(Conflict, match="no 65536 user ids are free for a"):
        assigned(document, taken=everything)
