"""What we choose where the file leaves it to us: subnets, addresses, host ports. Chosen once, kept as long as it
can be.

Pure: who else has what comes in (`Taken`, `Look`). Static addresses and fixed ports are reserved before anything is
chosen. Leases of what is no longer wanted are remembered for a while: who comes back gets the same again, and what
was just freed is not handed out while something else is free (a neighbour's cache may still point there)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from typing import Any

from engine.types.configs import NetworkConfig
from engine.types.infos import Look, Taken
from engine.types.parts import PortMap
from reconciler import claims
from reconciler.errors import Conflict
from reconciler.slots import Slot
from specs.network import Network
from specs.project import Project
from specs.service import Port

POOLS = ("10.200.0.0/13", "172.24.0.0/13", "192.168.0.0/16")
"""Where our own subnets come from, each of SUBNET_PREFIX, in this order: the next where one has nothing free."""

SUBNET_PREFIX = 24
OUR_PORTS = (49000, 49900)
"""First and last host port that we choose where the file leaves it to us."""

REMEMBERED = 256
"""So many leases of each sort that nobody wants are remembered."""

Slots = Mapping[str, tuple[Slot, ...]]


@dataclass(frozen=True, slots=True)
class Leases:
    """`subnets`: network key -> subnet; `addresses`: endpoint id -> address; `ports`: `port_key` -> host port."""

    subnets: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"subnets": dict(self.subnets), "addresses": dict(self.addresses), "ports": dict(self.ports)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Leases":
        return cls(dict(value["subnets"]), dict(value["addresses"]), dict(value["ports"]))


def endpoint_id(slot: Slot, network_key: str) -> str:
    return f"endpoint:{slot.name}/{network_key}"


def port_key(slot: Slot, port: Port) -> str:
    return f"{slot.name} {port.host_ip or claims.EVERY_ADDRESS}:{port.published}:{port.target}/{port.protocol}"


def assign(project: Project, slots: Slots, before: Leases, taken: Taken, look: Look) -> Leases:
    """Leases for everything that the project leaves to us; what `before` has stays, where it can.

    Raises Conflict where something cannot be had by two, or nothing is free.
    """
    subnets = _subnets(project, before, taken, look)
    guests = frozenset((network, address) for network, address, _ in taken.addresses)
    addresses = _addresses(project, slots, before, subnets, look, guests)
    return Leases(subnets, addresses, _ports(project, slots, before, taken))


def gateway_of(subnet: str, given: str | None) -> str:
    """The network's own address: as given, else the first of the subnet."""
    return given or str(IPv4Network(subnet)[1])


# ------------------------------------------------------------------------------------------------------------ subnets


def _subnets(project: Project, before: Leases, taken: Taken, look: Look) -> dict[str, str]:
    ours = {key: network for key, network in project.networks.items() if not network.external}
    chosen = {key: network.pool.subnet for key, network in ours.items() if network.pool.subnet}
    strangers = [subnet for subnet, _ in taken.subnets if not subnet.endswith("/0")]
    standing = {info.config.name: info.config.subnet for info in look.networks}
    for key in sorted(ours.keys() - chosen.keys()):
        kept = before.subnets.get(key, "")
        avoid = list(chosen.values())
        stands = kept and standing.get(ours[key].name) == kept
        if not kept or _overlaps(kept, avoid) or (not stands and _overlaps(kept, strangers)):
            kept = _free_subnet(f"{project.name}/{key}", [*avoid, *strangers, *before.subnets.values()])
        chosen[key] = kept
    return chosen


def _overlaps(subnet: str, others: Iterable[str]) -> bool:
    return any(claims.subnets_overlap(subnet, other) for other in others)


def _free_subnet(seed: str, avoid: list[str]) -> str:
    for pool in map(IPv4Network, POOLS):
        count = 1 << (SUBNET_PREFIX - pool.prefixlen)
        first = _number_of(seed, count)
        for position in range(count):
            base = int(pool.network_address) + ((first + position) % count << (32 - SUBNET_PREFIX))
            subnet = f"{IPv4Address(base)}/{SUBNET_PREFIX}"
            if not _overlaps(subnet, avoid):
                return subnet
    key = seed.partition("/")[2]
    raise Conflict("cannot choose a subnet: none is free", ("networks", key), hint="give one under ipam.config.subnet")


def _number_of(seed: str, below: int) -> int:
    """Always the same for one seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) % below


# ---------------------------------------------------------------------------------------------------------- addresses


@dataclass(frozen=True)
class _Range:
    """The addresses of one network: where dynamic ones come from, and which nobody may have. `elsewhere`: other projects'
    that joined it."""

    key: str
    subnet: IPv4Network
    dynamic: IPv4Network
    gateway: str
    elsewhere: frozenset[str] = frozenset()


def _addresses(
    project: Project,
    slots: Slots,
    before: Leases,
    subnets: Mapping[str, str],
    look: Look,
    guests: frozenset[tuple[str, str]],
) -> dict[str, str]:
    foreign = {info.config.name: info.config for info in look.networks}
    chosen: dict[str, str] = {}
    for key, network in project.networks.items():
        if place := _range_of(key, network, subnets.get(key), foreign.get(network.name)):
            place = replace(place, elsewhere=frozenset(each for name, each in guests if name == network.name))
            chosen |= _statics(project, slots, place)
            chosen |= _dynamics(project, slots, place, before, chosen)
    past = {resource_id: address for resource_id, address in before.addresses.items() if resource_id not in chosen}
    return {**dict(list(past.items())[-REMEMBERED:]), **chosen}


def _range_of(key: str, network: Network, subnet: str | None, standing: NetworkConfig | None) -> _Range | None:
    """None: an external network that nobody has made yet."""
    if network.external:
        if standing is None:
            return None
        whole = IPv4Network(standing.subnet)
        return _Range(key, whole, IPv4Network(standing.ip_range or standing.subnet), standing.gateway)
    assert subnet is not None
    whole = IPv4Network(subnet)
    dynamic = IPv4Network(network.pool.ip_range) if network.pool.ip_range else whole
    return _Range(key, whole, dynamic, gateway_of(subnet, network.pool.gateway))


def _members(project: Project, slots: Slots, key: str) -> Iterator[tuple[str, Slot, str | None]]:
    """Service, slot and static address of all that join the network."""
    for name, service in project.services.items():
        if key in service.networks:
            for slot in slots[name]:
                yield name, slot, service.networks[key].ipv4_address


def _statics(project: Project, slots: Slots, place: _Range) -> dict[str, str]:
    statics: dict[str, str] = {}
    owner: dict[str, str] = {place.gateway: "the gateway"}
    for name, slot, static in _members(project, slots, place.key):
        if static is None:
            continue
        path = ("services", name, "networks", place.key, "ipv4_address")
        if IPv4Address(static) not in place.subnet:
            raise Conflict(f"{static} is not in {place.subnet} (network {place.key})", path)
        if (other := owner.setdefault(static, slot.name)) != slot.name:
            raise Conflict(f"{static} is already the address of {other} (network {place.key})", path)
        statics[endpoint_id(slot, place.key)] = static
    return statics


def _dynamics(
    project: Project, slots: Slots, place: _Range, before: Leases, chosen: Mapping[str, str]
) -> dict[str, str]:
    suffix = f"/{place.key}"
    had = {chosen[resource_id] for resource_id in chosen if resource_id.endswith(suffix)} | {
        place.gateway,
        *place.elsewhere,
    }
    waiting: list[tuple[str, str]] = []
    dynamics: dict[str, str] = {}
    for name, slot, static in _members(project, slots, place.key):
        resource_id = endpoint_id(slot, place.key)
        kept = before.addresses.get(resource_id)
        if static is None and kept and kept not in had and IPv4Address(kept) in place.dynamic:
            dynamics[resource_id] = kept
            had.add(kept)
        elif static is None:
            waiting.append((resource_id, name))
    freed = [
        address
        for resource_id, address in before.addresses.items()
        if resource_id.endswith(suffix) and address not in had
    ]
    free = chain(_free_addresses(place, had | set(freed)), (a for a in freed if IPv4Address(a) in place.dynamic))
    for resource_id, name in waiting:
        if (address := next(free, None)) is None:
            path = ("services", name, "networks", place.key)
            raise Conflict(f"no address of {place.dynamic} is free (network {place.key})", path)
        dynamics[resource_id] = address
    return dynamics


def _free_addresses(place: _Range, had: set[str]) -> Iterator[str]:
    edges = {place.subnet.network_address, place.subnet.broadcast_address}
    return (str(address) for address in place.dynamic if address not in edges and str(address) not in had)


# --------------------------------------------------------------------------------------------------------------- ports


def _published(project: Project, slots: Slots) -> Iterator[tuple[Slot, Port, tuple[str, ...]]]:
    for name, service in project.services.items():
        for slot in slots[name]:
            for port in service.ports:
                yield slot, port, ("services", name, "ports")


def port_map(port: Port, host_port: int) -> PortMap:
    return PortMap(port.host_ip or claims.EVERY_ADDRESS, host_port, port.target, port.protocol)


def _ports(project: Project, slots: Slots, before: Leases, taken: Taken) -> dict[str, int]:
    index = claims.elsewhere(Taken(ports=taken.ports))
    chosen: dict[str, int] = {}
    had = claims.Index()
    for slot, port, path in _published(project, slots):
        if (wanted := port.published_range()) and wanted[0] == wanted[1]:
            claim = claims.host_port(port_map(port, wanted[0]))
            if others := had.meeting(claim) - {slot.name}:
                hint = "give a range like 8080-8089" if others & {s.name for s in slots[slot.service]} else ""
                raise Conflict(f"{claim} is already published by {', '.join(sorted(others))}", path, hint=hint)
            had.add(claim, slot.name)
            chosen[port_key(slot, port)] = wanted[0]
    for keeps in (True, False):  # first those who keep theirs
        for slot, port, path in _published(project, slots):
            key = port_key(slot, port)
            if key not in chosen and (not keeps or key in before.ports):
                free = _free_port(project.name, port, [before.ports[key]] if keeps else None, (had, index))
                if free is not None:
                    chosen[key] = free
                    had.add(claims.host_port(port_map(port, free)), slot.name)
                elif not keeps:
                    raise Conflict(f"no host port of {port.published or 'ours'} is free for {slot.name}", path)
    past = {key: port for key, port in before.ports.items() if key not in chosen}
    return {**dict(list(past.items())[-REMEMBERED:]), **chosen}


def _free_port(seed: str, port: Port, only: list[int] | None, had: tuple[claims.Index, ...]) -> int | None:
    first, last = port.published_range() or OUR_PORTS
    start = 0 if port.published else _number_of(seed, last - first + 1)
    candidates = [first + (start + position) % (last - first + 1) for position in range(last - first + 1)]
    for candidate in candidates if only is None else [number for number in only if first <= number <= last]:
        if not any(index.meeting(claims.host_port(port_map(port, candidate))) for index in had):
            return candidate
    return None


# ------------------------------------------------------------------------------------------------ had by somebody else


def refuse_taken(project: Project, slots: Slots, leases: Leases, taken: Taken, look: Look) -> None:
    """Raises Conflict where the file names something that somebody else has now, or that others should have made and
    have not: for an `up`, before anything is touched.

    What already stands is not asked about; a conflict that comes later is shown by the plan.
    """
    standing = {info.config.name: info.config.subnet for info in look.networks if info.config.project == project.name}
    for key, network in project.networks.items():
        subnet = network.pool.subnet
        for other, who in taken.subnets if subnet and standing.get(network.name) != subnet else ():
            if not other.endswith("/0") and claims.subnets_overlap(str(subnet), other):
                place = ("networks", key, "ipam", "config", 0, "subnet")
                raise Conflict(f"{subnet} overlaps {other} of {who}", place, hint="choose another subnet")
    made = {info.config.name for info in look.networks}
    for key, network in project.networks.items():
        if network.external and network.name not in made:
            hint = f"`corral network create {network.name}`, or bring the project up that makes it"
            raise Conflict(f"network {network.name} is external, and nobody has made it", ("networks", key), hint=hint)
    index = claims.elsewhere(taken)
    for key, network in project.networks.items():
        for name, _, static in _members(project, slots, key):
            claim = claims.address(network.name, static or "")
            for who in sorted(index.meeting(claim)):
                where = ("services", name, "networks", key, "ipv4_address")
                raise Conflict(f"{static} is already the address of {who} (network {network.name})", where)
    for slot, port, path in _published(project, slots):
        claim = claims.host_port(port_map(port, leases.ports[port_key(slot, port)]))
        for who in sorted(index.meeting(claim)):
            raise Conflict(f"{claim} is had by {who}", path, hint="publish another port, or end who has it")
