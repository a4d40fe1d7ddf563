"""An endpoint: joins a sandbox to a network, with an address that only it has there, and the names it is found by.

It is made of both (GONE when either goes). The address changes by a new endpoint while the container runs on;
names, the name it resolves back to, and which endpoint carries the default route change in place."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Network

from engine.types.configs import Config, EndpointConfig
from engine.types.infos import EndpointInfo, Look
from reconciler import claims as claiming
from reconciler import difference, kind, naming
from reconciler.difference import Word
from reconciler.kind import Things
from reconciler.kinds import network as networks
from reconciler.kinds import sandbox as sandboxes
from reconciler.resource import Claim, Depth, Difference, Edge, Hold, Met, Needs, Observed, Resource, Step, Verb
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.service import Service

name = "endpoint"

WORDS = {
    "network": Word("network"),
    "address": Word("ipv4_address"),
    "prefix_length": Word("prefix length"),
    "gateway": Word("gateway"),
    "fqdn": Word("fqdn", live=True),
    "names": Word("names", live=True, members=True, show=str),
    "primary": Word("default route", live=True),
}


def id_of(sandbox_name: str, network_key: str) -> str:
    return f"endpoint:{sandbox_name}/{network_key}"


def declare(wish: Wish) -> Iterator[Resource]:
    for slot, service in wish.members():
        primary = primary_of(wish, service)
        for key in sorted(service.networks):
            edges = (
                Edge(networks.id_of(key), rigid=Depth.GONE),
                Edge(sandboxes.id_of(slot.name), rigid=Depth.GONE),
            )
            yield Resource(id_of(slot.name, key), config_of(wish, slot, service, key, primary), edges)


def primary_of(wish: Wish, service: Service) -> str:
    """The network that carries the default route: the first by name that leads outside; "": none does."""
    keys = [key for key in sorted(service.networks) if not wish.project.networks[key].internal]
    return keys[0] if keys else ""


def config_of(wish: Wish, slot: Slot, service: Service, key: str, primary: str) -> EndpointConfig:
    network = networks.config_of(wish, key)
    resource_id = id_of(slot.name, key)
    return EndpointConfig(
        wish.project.name,
        slot.name,
        wish.project.networks[key].name,
        key,
        wish.leases.addresses.get(resource_id, "") if network else "",
        IPv4Network(network.subnet).prefixlen if network else 0,
        network.gateway if network else "",
        naming.of_slot(wish.project.name, slot, service).fqdn,
        naming.names_on(service.networks[key], wish.project.name, slot, service),
        key == primary,
    )


def observe(look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
    return (observed(info) for info in look.endpoints)


def observed(info: EndpointInfo) -> Observed:
    holds = (
        Hold(networks.id_of(info.config.network_key), info.network_uid, Depth.GONE),
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
    return (claiming.address(config.network, config.address),) if config.address else ()


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
    network = things.get(networks.id_of(config.network_key))
    sandbox = things.get(sandboxes.id_of(config.sandbox))
    return observed(EndpointInfo(config, uid, network.uid if network else "", sandbox.uid if sandbox else ""))


def hoped(have: Observed, needs: Needs, now: float) -> Observed:
    return have
