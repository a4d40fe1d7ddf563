"""What we choose where the file leaves it to us: subnets, addresses, host ports. Chosen once, kept as long as it
can be.

Pure: who else has what comes in (`Taken`, `Look`). Leases of what is no longer wanted are remembered for a while: who comes
back gets the same again."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from engine.types.infos import Look, Taken
from reconciler import addressing, claims, host_ports, id_leases, volume_leases
from reconciler.addressing import IPV4, IPV6
from reconciler.errors import Conflict
from reconciler.slots import Slot
from specs.canonical import bridge_options
from specs.model.project import Project

REMEMBERED = 256
"""So many leases of each sort that nobody wants are remembered."""

Slots = Mapping[str, tuple[Slot, ...]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Leases:
    """`subnets`: network key -> subnet; `addresses`: endpoint id -> address; both again for IPv6; `ports`: `port_key` -> host
    port; `ids`: slot name -> first id of its user namespace (`reconciler.id_leases`); `volumes`: `volume_key` -> full name of
    an anonymous volume (`reconciler.volume_leases`)."""

    subnets: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    subnets6: Mapping[str, str] = field(default_factory=dict)
    addresses6: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)

    def without_volumes(self, services: Iterable[str], known: Container[str]) -> "Leases":
        """The containers of these services get new anonymous volumes. `known`: all services."""
        gone = frozenset(services)
        kept = {key: name for key, name in self.volumes.items() if volume_leases.service_of(key, known) not in gone}
        return replace(self, volumes=kept)

    def to_json(self) -> dict[str, Any]:
        return {
            "subnets": dict(self.subnets),
            "addresses": dict(self.addresses),
            "ports": dict(self.ports),
            "subnets6": dict(self.subnets6),
            "addresses6": dict(self.addresses6),
            "ids": dict(self.ids),
            "volumes": dict(self.volumes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Leases":
        return cls(
            dict(value["subnets"]),
            dict(value["addresses"]),
            dict(value["ports"]),
            dict(value.get("subnets6", {})),
            dict(value.get("addresses6", {})),
            dict(value.get("ids", {})),
            dict(value.get("volumes", {})),
        )


def assign(project: Project, slots: Slots, before: Leases, taken: Taken, look: Look) -> Leases:
    """Leases for everything that the project leaves to us; what `before` has stays, where it can.

    Raises Conflict where something cannot be had by two, or nothing is free.
    """
    strangers = [subnet for subnet, _ in taken.subnets]
    guests = frozenset((network, address) for network, address, _ in taken.addresses)
    subnets = addressing.subnets(IPV4, project, before.subnets, strangers, look)
    subnets6 = addressing.subnets(IPV6, project, before.subnets6, strangers, look)
    addresses = addressing.addresses(IPV4, project, slots, before.addresses, subnets, look, guests)
    addresses6 = addressing.addresses(IPV6, project, slots, before.addresses6, subnets6, look, guests)
    made = {info.config.name: info.config for info in look.networks if info.config.project != project.name}
    ports = host_ports.choose(project, slots, before.ports, taken, made)
    return Leases(
        subnets,
        _with_past(before.addresses, addresses),
        _with_past(before.ports, ports),
        subnets6,
        _with_past(before.addresses6, addresses6),
        id_leases.assign(project, slots, before.ids, taken, look),
        volume_leases.assign(project, slots, before.volumes, look),
    )


def _with_past(before: Mapping[str, T], chosen: Mapping[str, T]) -> dict[str, T]:
    past = {key: value for key, value in before.items() if key not in chosen}
    return {**dict(list(past.items())[-REMEMBERED:]), **chosen}


# ------------------------------------------------------------------------------------------------ had by somebody else


def refuse_taken(project: Project, slots: Slots, leases: Leases, taken: Taken, look: Look) -> None:
    """Raises Conflict where the file names something that somebody else has now, or that others should have made and
    have not: for an `up`, before anything is touched.

    What already stands is not asked about; a conflict that comes later is shown by the plan.
    """
    _refuse_subnets(project, taken, look)
    _refuse_bridges(project, taken, look)
    made = {info.config.name for info in look.networks}
    for key, network in project.networks.items():
        if network.external and network.name not in made and not network.stands_for:
            hint = f"`corral network create {network.name}`, or bring the project up that makes it"
            raise Conflict(f"network {network.name} is external, and nobody has made it", ("networks", key), hint=hint)
    index = claims.elsewhere(taken)
    for key, network in project.networks.items():
        for path, _, joined in addressing.members(project, slots, key):
            for family in addressing.FAMILIES:
                static = family.static(joined)
                for who in sorted(index.meeting(claims.address(network.name, static or ""))):
                    where = (*path, family.word())
                    raise Conflict(f"{static} is already the address of {who} (network {network.name})", where)
    theirs = {info.config.name: info.config for info in look.networks if info.config.project != project.name}
    for slot, port, path, hosts in host_ports.published(project, slots, theirs):
        for each in host_ports.port_maps(port, hosts, leases.ports[host_ports.port_key(slot, port)]):
            claim = claims.host_port(each)
            for who in sorted(index.meeting(claim)):
                raise Conflict(f"{claim} is had by {who}", path, hint="publish another port, or end who has it")


def _refuse_subnets(project: Project, taken: Taken, look: Look) -> None:
    for family in addressing.FAMILIES:
        standing = {
            info.config.name: family.subnet(info.config)
            for info in look.networks
            if info.config.project == project.name
        }
        for key, network in project.networks.items():
            given = family.pool(network).subnet
            subnet = addressing.plain_subnet(given) if given else ""
            for other, who in taken.subnets if subnet and standing.get(network.name) != subnet else ():
                if not other.endswith("/0") and claims.subnets_overlap(subnet, other):
                    index = next(i for i, pool in enumerate(network.ipam.config) if pool.subnet == given)
                    place = ("networks", key, "ipam", "config", index, "subnet")
                    raise Conflict(f"{subnet} overlaps {other} of {who}", place, hint="choose another subnet")


def _refuse_bridges(project: Project, taken: Taken, look: Look) -> None:
    standing = {info.config.bridge for info in look.networks if info.config.project == project.name}
    for key, network in project.networks.items():
        wanted = "" if network.stands_for else bridge_options.parse(network.driver_opts).bridge
        for name, who in taken.bridges if wanted and wanted not in standing else ():
            if name == wanted:
                place = ("networks", key, "driver_opts", bridge_options.NAME)
                raise Conflict(f"there is an interface {name} already: {who}", place, hint="choose another name")
