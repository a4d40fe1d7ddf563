"""A sandbox: network and uts namespace of one slot, held by a shim that is the parent of its containers' processes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.types.configs import Config, NetworkMode, SandboxConfig
from engine.types.infos import Look, SandboxInfo
from reconciler import difference, kind, naming, routing, sharing
from reconciler.difference import Word
from reconciler.kind import Things
from reconciler.kinds import network
from reconciler.resource import Claim, Depth, Difference, Met, Needs, Observed, Resource, Step, Verb
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.canonical import sysctls
from specs.checks import addresses
from specs.model.service import Service

name = "sandbox"

WORDS = {
    "mode": Word("network_mode"),
    "hostname": Word("hostname", live=True),
    "domainname": Word("domainname", live=True),
    "extra_hosts": Word("extra_hosts", live=True, members=True, show="=".join),
    "dns_servers": Word("dns", live=True),
    "dns_search": Word("dns_search", live=True),
    "dns_options": Word("dns_opt", live=True),
    "links": Word("links", live=True, members=True, show="=".join),
    "external_links": Word("external_links", live=True, members=True, show="=".join),
    "sysctls": Word("sysctls", members=True),
    "ids": Word("userns_mode", show=difference.id_range),
}


def id_of(slot_name: str) -> str:
    return f"sandbox:{slot_name}"


def declare(wish: Wish) -> Iterator[Resource]:
    for slot, service in wish.members():
        if sharing.has_sandbox(service):
            yield Resource(id_of(slot.name), config_of(wish, slot, service))


def config_of(wish: Wish, slot: Slot, service: Service) -> SandboxConfig:
    called = naming.of_slot(wish.project.name, slot, service)
    return SandboxConfig(
        slot.name,
        wish.project.name,
        NetworkMode(service.network_mode or NetworkMode.PRIVATE),
        called.hostname,
        called.domainname,
        tuple(extra_hosts_of(wish, service)),
        service.dns,
        service.dns_search,
        service.dns_opt,
        links_of(wish, service),
        tuple(sorted((key, value) for key, value in service.sysctls.items() if sysctls.of_network(key))),
        wish.ids_of(slot, service),
        tuple(sorted({(alias or name, name) for name, _, alias in map(_parts, service.external_links)})),
    )


def extra_hosts_of(wish: Wish, service: Service) -> Iterator[tuple[str, str]]:
    """`host-gateway` is the machine as the service reaches it: at the gateway of the network that leads outside, else of the
    first one. Without an address, as where the network is external and not there, there is no line."""
    for called, address in service.extra_hosts:
        if address != addresses.HOST_GATEWAY:
            yield called, address
        elif found := _host_gateway(wish, service):
            yield called, found


def _host_gateway(wish: Wish, service: Service) -> str:
    if service.network_mode == NetworkMode.HOST:
        return "127.0.0.1"
    outside = [routing.primary_of(wish.project, service, wish.external, ipv6=ipv6) for ipv6 in (False, True)]
    for key in [*filter(None, outside), *sorted(service.networks)]:
        if config := network.config_of(wish, key):
            return config.gateway or config.gateway6
    return ""


def _parts(link: str) -> tuple[str, str, str]:
    return link.partition(":")


def links_of(wish: Wish, service: Service) -> tuple[tuple[str, str], ...]:
    """(alias, sandbox) for every slot of each service linked to."""
    pairs = set()
    for text in service.links:
        target, _, alias = text.partition(":")
        pairs |= {(alias or target, sharing.sandbox_of(wish, slot)) for slot in wish.slots.get(target, ())}
    return tuple(sorted(pairs))


def observe(look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
    return (Observed(id_of(info.config.name), info) for info in look.sandboxes)


def compare(want: Resource, have: Observed, things: Things) -> Difference:
    assert isinstance(have.info, SandboxInfo)
    return kind.with_drift(difference.between(have.config, want.config, WORDS), have.info.drift)


def step_up(want: Resource, have: Observed | None, now: float) -> Step | None:
    return kind.made_once(want, have)


def step_down(have: Observed, depth: Depth) -> Step | None:
    return kind.remove(have) if depth >= Depth.GONE else None


def claims(config: Config) -> tuple[Claim, ...]:
    return ()


def release(want: Resource, have: Observed) -> Step | None:
    return None


def meets(have: Observed, needs: Needs) -> Met:
    return kind.ALWAYS


def predict(step: Step, have: Observed | None, things: Things, now: float, uid: str) -> Observed | None:
    if step.verb is Verb.REMOVE:
        return None
    assert isinstance(step.config, SandboxConfig)
    if step.verb is Verb.CREATE or have is None:
        return Observed(step.id, SandboxInfo(step.config, uid))
    return replace(have, info=SandboxInfo(step.config, have.uid))


def hoped(have: Observed, needs: Needs, now: float) -> Observed:
    return have
