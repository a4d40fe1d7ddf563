"""An endpoint: joins a sandbox to a network, with an address that only it has there, and the names it is found by.

It is made of both (GONE when either goes). Addresses, MAC, the interface's name and its settings change by a new endpoint while
the container runs on; names, the name it resolves back to, the mtu, which endpoint carries the default route, and whether it may
speak from other addresses than its own change in place."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network

from engine.types.configs import Config, EndpointConfig
from engine.types.infos import EndpointInfo, Look
from reconciler import addressing, difference, kind, naming, routing, sharing
from reconciler import claims as claiming
from reconciler.difference import Word
from reconciler.kind import Things
from reconciler.kinds import network as networks
from reconciler.kinds import sandbox as sandboxes
from reconciler.kinds.container_config import security_of
from reconciler.resource import Claim, Depth, Difference, Edge, Hold, Met, Needs, Observed, Resource, Step, Verb
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.canonical import bridge_options
from specs.checks import endpoints
from specs.model.service import Service

name = "endpoint"

FORWARDING = re.compile(r"net\.ipv4\.ip_forward|net\.ipv[46]\.conf\..+\.forwarding")

WORDS = {
    "network": Word("network"),
    "address": Word("ipv4_address"),
    "prefix_length": Word("prefix length"),
    "gateway": Word("gateway"),
    "fqdn": Word("fqdn", live=True),
    "names": Word("names", live=True, members=True, show=str),
    "primary": Word("default route", live=True),
    "address6": Word("ipv6_address"),
    "prefix_length6": Word("IPv6 prefix length"),
    "gateway6": Word("IPv6 gateway"),
    "primary6": Word("IPv6 default route", live=True),
    "mtu": Word("mtu", live=True),
    "mac": Word("mac_address"),
    "interface": Word("interface_name"),
    "link_local": Word("link_local_ips", members=True, show=str),
    "sysctls": Word("endpoint sysctls", members=True),
    "guarded": Word("guard against claimed addresses", live=True),
}


def id_of(sandbox_name: str, network_key: str) -> str:
    return f"endpoint:{sandbox_name}/{network_key}"


def declare(wish: Wish) -> Iterator[Resource]:
    free = {sharing.sandbox_of(wish, slot) for slot, service in wish.members() if has_other_addresses(service)}
    for slot, service in wish.members():
        for key in sorted(service.networks):
            edges = (
                Edge(networks.id_of(key), rigid=Depth.GONE),
                Edge(sandboxes.id_of(slot.name), rigid=Depth.GONE),
            )
            config = config_of(wish, slot, service, key, guarded=slot.name not in free)
            yield Resource(id_of(slot.name, key), config, edges)


def has_other_addresses(service: Service) -> bool:
    """Whether it may give itself addresses, or is a router for others."""
    if not (service.privileged or service.cap_add or service.sysctls):
        return False
    routes = any(value == "1" for name, value in service.sysctls.items() if FORWARDING.fullmatch(name))
    return routes or "NET_ADMIN" in security_of(service).capabilities


def config_of(wish: Wish, slot: Slot, service: Service, key: str, *, guarded: bool) -> EndpointConfig:
    network = networks.config_of(wish, key)
    resource_id, joined = id_of(slot.name, key), service.networks[key]
    subnet, subnet6 = (network.subnet, network.subnet6) if network else ("", "")
    likely = routing.likely_interfaces(wish.project, service, wish.external)
    return EndpointConfig(
        wish.project.name,
        slot.name,
        wish.project.networks[key].name,
        key,
        wish.leases.addresses.get(resource_id, "") if subnet else "",
        ip_network(subnet).prefixlen if subnet else 0,
        network.gateway if network else "",
        naming.of_slot(wish.project.name, slot, service).fqdn,
        naming.names_on(joined, wish.project.name, slot, service),
        key == routing.primary_of(wish.project, service, wish.external),
        address6=wish.leases.addresses6.get(resource_id, "") if subnet6 else "",
        prefix_length6=ip_network(subnet6).prefixlen if subnet6 else 0,
        gateway6=network.gateway6 if network else "",
        primary6=key == routing.primary_of(wish.project, service, wish.external, ipv6=True),
        mtu=network.mtu if network else 1500,
        mac=endpoints.mac_of(service, key),
        interface=endpoints.interface_of(joined),
        likely_interface=likely.get(key, ""),
        link_local=tuple(addressing.plain(text) for text in joined.link_local_ips),
        sysctls=bridge_options.parse_endpoint(joined.driver_opts),
        guarded=guarded,
    )


def observe(look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
    for info in look.endpoints:
        yield observed(info, networks.id_of_made(info.config.network_key, info.config.network, wanted))


def observed(info: EndpointInfo, network_id: str) -> Observed:
    holds = (
        Hold(network_id, info.network_uid, Depth.GONE),
        Hold(sandboxes.id_of(info.config.sandbox), info.sandbox_uid, Depth.GONE),
    )
    return Observed(id_of(info.config.sandbox, info.config.network_key), info, holds)


def compare(want: Resource, have: Observed, things: Things) -> Difference:
    assert isinstance(have.info, EndpointInfo)
    return kind.with_drift(difference.between(have.config, want.config, WORDS), have.info.drift)


def step_up(want: Resource, have: Observed | None, now: float) -> Step | None:
    return kind.made_once(want, have)


def step_down(have: Observed, depth: Depth) -> Step | None:
    return kind.remove(have) if depth >= Depth.GONE else None


def claims(config: Config) -> tuple[Claim, ...]:
    assert isinstance(config, EndpointConfig)
    addresses = (claiming.address(config.network, each) for each in (config.address, config.address6) if each)
    return (*addresses, *((claiming.mac(config.network, config.mac),) if config.mac else ()))


def release(want: Resource, have: Observed) -> Step | None:
    return None


def meets(have: Observed, needs: Needs) -> Met:
    return kind.ALWAYS


def predict(step: Step, have: Observed | None, things: Things, now: float, uid: str) -> Observed | None:
    if step.verb is Verb.REMOVE:
        return None
    config = step.config
    assert isinstance(config, EndpointConfig)
    if step.verb is Verb.UPDATE and have is not None:
        assert isinstance(have.info, EndpointInfo)
        return replace(have, info=replace(have.info, config=config, drift=()))
    network_id = networks.id_of(config.network_key)
    network, sandbox = things.get(network_id), things.get(sandboxes.id_of(config.sandbox))
    made = EndpointInfo(config, uid, network.uid if network else "", sandbox.uid if sandbox else "")
    return observed(made, network_id)


def hoped(have: Observed, needs: Needs, now: float) -> Observed:
    return have
