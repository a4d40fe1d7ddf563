"""Subnets of networks and addresses of endpoints, of one family: those of the file, those kept from before, and those that we
choose. Pure.

Static addresses are reserved before any is chosen; what was just freed is not handed out while something else is free.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import chain

from engine.types.configs import NetworkConfig
from engine.types.infos import Look
from reconciler import claims
from reconciler.errors import Conflict
from reconciler.slots import Slot
from reconciler.slots import bodies as slot_bodies
from specs.checks import addresses as rules
from specs.errors import Path
from specs.model.network import Network, Pool
from specs.model.project import Project
from specs.model.service import ServiceNetwork

POOLS = ("10.200.0.0/13", "172.24.0.0/13", "192.168.0.0/16")
"""Where our own IPv4 subnets come from, each of SUBNET_PREFIX, in this order: the next where one has nothing free."""

SUBNET_PREFIX = 24
ULA = IPv6Network("fd00::/8")  # RFC 4193: 40 bits that nobody else has chosen, and 16 of our own, which are 0
ULA_PREFIX = 64
ULA_STEP_BITS, ULA_CHOICES_BITS = 80, 40
TRIES = 1000
"""So many of our ULAs are looked at before we give up: the first is taken only by a very unlikely accident."""

Slots = Mapping[str, tuple[Slot, ...]]
Chosen = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """Which words of the file and of the engine are about it."""

    version: int

    def has(self, network: Network) -> bool:
        return network.enable_ipv6 if self.version == 6 else network.enable_ipv4

    def pool(self, network: Network) -> Pool:
        return network.pool6 if self.version == 6 else network.pool

    def subnet(self, config: NetworkConfig) -> str:
        return config.subnet6 if self.version == 6 else config.subnet

    def gateway(self, config: NetworkConfig) -> str:
        return config.gateway6 if self.version == 6 else config.gateway

    def ip_range(self, config: NetworkConfig) -> str:
        """Of the subnet; all of it unless told."""
        return (config.ip_range6 if self.version == 6 else config.ip_range) or self.subnet(config)

    def word(self) -> str:
        return f"ipv{self.version}_address"

    def static(self, joined: ServiceNetwork) -> str | None:
        text: str | None = getattr(joined, self.word())
        return plain(text) if text else None


IPV4, IPV6 = Family(4), Family(6)
FAMILIES = (IPV4, IPV6)


def plain(address: str) -> str:
    """As the kernel writes it."""
    return str(ip_address(address))


def plain_subnet(subnet: str) -> str:
    return str(ip_network(subnet))


def gateway_of(subnet: str, given: str | None) -> str:
    """The network's own address: as given, else the first of the subnet."""
    return plain(given) if given else str(ip_network(subnet)[1])


# ------------------------------------------------------------------------------------------------------------ subnets


def subnets(family: Family, project: Project, before: Chosen, strangers: Iterable[str], look: Look) -> dict[str, str]:
    """The subnet of each network of ours that has this family. Raises Conflict where none is free."""
    ours = {key: each for key, each in project.networks.items() if not each.external and family.has(each)}
    chosen = {key: plain_subnet(given) for key, each in ours.items() if (given := family.pool(each).subnet)}
    theirs = [subnet for subnet in strangers if not subnet.endswith("/0")]
    standing = {info.config.name: family.subnet(info.config) for info in look.networks}
    for key in sorted(ours.keys() - chosen.keys()):
        kept = before.get(key, "")
        avoid = list(chosen.values())
        stands = kept and standing.get(ours[key].name) == kept
        if not kept or _overlaps(kept, avoid) or (not stands and _overlaps(kept, theirs)):
            kept = _free_subnet(family, f"{project.name}/{key}", [*avoid, *theirs, *before.values()])
        chosen[key] = kept
    return chosen


def _overlaps(subnet: str, others: Iterable[str]) -> bool:
    return any(claims.subnets_overlap(subnet, other) for other in others)


def _free_subnet(family: Family, seed: str, avoid: list[str]) -> str:
    for subnet in _candidates6(seed) if family is IPV6 else _candidates4(seed):
        if not _overlaps(subnet, avoid):
            return subnet
    key = seed.partition("/")[2]
    raise Conflict("cannot choose a subnet: none is free", ("networks", key), hint="give one under ipam.config.subnet")


def _candidates4(seed: str) -> Iterator[str]:
    for pool in map(IPv4Network, POOLS):
        count = 1 << (SUBNET_PREFIX - pool.prefixlen)
        first = number_of(seed, count)
        for position in range(count):
            base = int(pool.network_address) + ((first + position) % count << (32 - SUBNET_PREFIX))
            yield f"{IPv4Address(base)}/{SUBNET_PREFIX}"


def _candidates6(seed: str) -> Iterator[str]:
    for turn in range(TRIES):
        chosen = number_of(f"{seed} {turn}" if turn else seed, 1 << ULA_CHOICES_BITS)
        base = IPv6Address(int(ULA.network_address) + (chosen << ULA_STEP_BITS))
        yield f"{base}/{ULA_PREFIX}"


def number_of(seed: str, below: int) -> int:
    """Always the same for one seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) % below


# ---------------------------------------------------------------------------------------------------------- addresses


@dataclass(frozen=True)
class _Range:
    """The addresses of one network: where dynamic ones come from, and which nobody may have. `elsewhere`: other projects'
    that joined it."""

    key: str
    family: Family
    subnet: IPv4Network | IPv6Network
    dynamic: IPv4Network | IPv6Network
    gateway: str
    reserved: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()


def addresses(
    family: Family,
    project: Project,
    slots: Slots,
    before: Chosen,
    chosen_subnets: Chosen,
    look: Look,
    guests: frozenset[tuple[str, str]],
) -> dict[str, str]:
    """The address of each endpoint, by its id. `guests`: (network's full name, address) of other projects' members."""
    foreign = {info.config.name: info.config for info in look.networks}
    chosen: dict[str, str] = {}
    for key, network in project.networks.items():
        if place := _range_of(family, key, network, chosen_subnets.get(key), foreign.get(network.name)):
            place = replace(place, elsewhere=frozenset(each for name, each in guests if name == network.name))
            chosen |= _statics(project, slots, place)
            chosen |= _dynamics(project, slots, place, before, chosen)
    return chosen


def _range_of(
    family: Family, key: str, network: Network, subnet: str | None, standing: NetworkConfig | None
) -> _Range | None:
    """None: the network has none of this family, or is an external one that nobody has made yet."""
    if network.external:
        if standing is None or not family.subnet(standing):
            return None
        whole, dynamic = ip_network(family.subnet(standing)), ip_network(family.ip_range(standing))
        return _Range(key, family, whole, dynamic, family.gateway(standing), frozenset(standing.reserved))
    if subnet is None:
        return None
    whole, pool = ip_network(subnet), family.pool(network)
    dynamic = ip_network(pool.ip_range) if pool.ip_range else whole
    reserved = frozenset(map(plain, pool.aux_addresses.values()))
    return _Range(key, family, whole, dynamic, gateway_of(subnet, pool.gateway), reserved)


def members(project: Project, slots: Slots, key: str) -> Iterator[tuple[Path, Slot, ServiceNetwork]]:
    """The slots of all that join the network, and how; with the path to it in the document."""
    for body, its_slots in slot_bodies(project, slots):
        if key in body.service.networks:
            for slot in its_slots:
                yield (*body.path, "networks", key), slot, body.service.networks[key]


def endpoint_id(slot: Slot, network_key: str) -> str:
    return f"endpoint:{slot.name}/{network_key}"


def _statics(project: Project, slots: Slots, place: _Range) -> dict[str, str]:
    statics: dict[str, str] = {}
    owner: dict[str, str] = {place.gateway: "the gateway"}
    for where, slot, joined in members(project, slots, place.key):
        static = place.family.static(joined)
        if static is None:
            continue
        path = (*where, place.family.word())
        if ip_address(static) not in place.subnet:
            raise Conflict(f"{static} is not in {place.subnet} (network {place.key})", path)
        if (other := owner.setdefault(static, slot.name)) != slot.name:
            raise Conflict(f"{static} is already the address of {other} (network {place.key})", path)
        statics[endpoint_id(slot, place.key)] = static
    return statics


def _dynamics(project: Project, slots: Slots, place: _Range, before: Chosen, chosen: Chosen) -> dict[str, str]:
    suffix = f"/{place.key}"
    had = {chosen[resource_id] for resource_id in chosen if resource_id.endswith(suffix)}
    had |= {place.gateway, *place.reserved, *place.elsewhere}
    waiting: list[tuple[str, Path]] = []
    dynamics: dict[str, str] = {}
    for path, slot, joined in members(project, slots, place.key):
        resource_id, static = endpoint_id(slot, place.key), place.family.static(joined)
        kept = before.get(resource_id)
        if static is None and kept and kept not in had and ip_address(kept) in place.dynamic:
            dynamics[resource_id] = kept
            had.add(kept)
        elif static is None:
            waiting.append((resource_id, path))
    freed = [address for resource_id, address in before.items() if resource_id.endswith(suffix) and address not in had]
    free = chain(_free_addresses(place, had | set(freed)), (a for a in freed if ip_address(a) in place.dynamic))
    for resource_id, path in waiting:
        if (address := next(free, None)) is None:
            raise Conflict(f"no address of {place.dynamic} is free (network {place.key})", path)
        dynamics[resource_id] = address
    return dynamics


def _free_addresses(place: _Range, had: set[str]) -> Iterator[str]:
    edges = set(rules.edges(place.subnet))
    every: Iterable[IPv4Address | IPv6Address] = place.dynamic
    return (str(each) for each in every if each not in edges and str(each) not in had)
