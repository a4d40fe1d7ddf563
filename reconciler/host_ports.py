"""Host ports: where each port of the file is published, and the numbers that we choose. Pure."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from engine.types.infos import Taken
from engine.types.parts import PortMap
from reconciler import addressing, claims, routing
from reconciler.errors import Conflict
from reconciler.slots import Slot
from reconciler.slots import bodies as slot_bodies
from specs.errors import Path
from specs.model.project import Project
from specs.model.service import Port, Service

OUR_PORTS = (49000, 49900)
"""First and last host port that we choose where the file leaves it to us."""

Slots = Mapping[str, tuple[Slot, ...]]
Asked = tuple[Slot, Port, Path, tuple[str, ...]]
"""Who publishes what, its path in the file, and the host addresses."""


def port_key(slot: Slot, port: Port) -> str:
    return f"{slot.name} {port.host_ip or claims.EVERY_ADDRESS}:{port.published}:{port.target}/{port.protocol}"


def host_ips(project: Project, service: Service, port: Port, made: routing.Made) -> tuple[str, ...]:
    """The addresses of this machine at which a port is published: as given; else all of each family that the service has a way
    out by, or the one that its network binds ports to. Raises Conflict where the container has no address of that family."""
    primaries = {version: routing.primary_of(project, service, made, ipv6=version == 6) for version in (4, 6)}
    if port.host_ip:
        given = ip_address(port.host_ip)
        if any(primaries.values()) and not primaries[given.version]:
            hint = f"say enable_ipv{given.version}: true for one of its networks, or leave out the address"
            raise Conflict(f"{given} leads to IPv{given.version}, and no network of the service has it", hint=hint)
        return (str(given),)
    bound = routing.facts_of(project.networks[primaries[4]], made).host_ip if primaries[4] else ""
    found = (bound or claims.EVERY_ADDRESS,) if primaries[4] or not primaries[6] else ()
    return (*found, *((claims.EVERY_ADDRESS6,) if primaries[6] and not bound else ()))


def port_maps(port: Port, hosts: tuple[str, ...], host_port: int) -> tuple[PortMap, ...]:
    return tuple(PortMap(host_ip, host_port, port.target, port.protocol) for host_ip in hosts)


def published(project: Project, slots: Slots, made: routing.Made) -> Iterator[Asked]:
    """Every port that is published. Raises Conflict."""
    for body, its_slots in slot_bodies(project, slots):
        for index, port in enumerate(body.service.ports):
            path = (*body.path, "ports")
            try:
                hosts = host_ips(project, body.service, port, made)
            except Conflict as error:
                raise Conflict(error.message, (*path, index), hint=error.hint) from None
            for slot in its_slots:
                yield slot, port, path, hosts


def choose(
    project: Project, slots: Slots, before: Mapping[str, int], taken: Taken, made: routing.Made
) -> dict[str, int]:
    """The host port of each published port, by `port_key`. Raises Conflict."""
    index = claims.elsewhere(Taken(ports=taken.ports))
    chosen: dict[str, int] = {}
    had = claims.Index()
    asked = list(published(project, slots, made))
    for slot, port, path, hosts in asked:
        if (wanted := port.published_range()) and wanted[0] == wanted[1]:
            _take(had, slot, port, hosts, wanted[0], path, slots)
            chosen[port_key(slot, port)] = wanted[0]
    for keeps in (True, False):  # first those who keep theirs
        for slot, port, path, hosts in asked:
            key = port_key(slot, port)
            if key not in chosen and (not keeps or key in before):
                free = _free_port(project.name, port, hosts, [before[key]] if keeps else None, (had, index))
                if free is not None:
                    chosen[key] = free
                    for each in port_maps(port, hosts, free):
                        had.add(claims.host_port(each), slot.name)
                elif not keeps:
                    raise Conflict(f"no host port of {port.published or 'ours'} is free for {slot.name}", path)
    return chosen


def _take(
    had: claims.Index, slot: Slot, port: Port, hosts: tuple[str, ...], number: int, path: Path, slots: Slots
) -> None:
    for each in port_maps(port, hosts, number):
        claim = claims.host_port(each)
        if others := had.meeting(claim) - {slot.name}:
            hint = "give a range like 8080-8089" if others & {s.name for s in slots[slot.service]} else ""
            raise Conflict(f"{claim} is already published by {', '.join(sorted(others))}", path, hint=hint)
        had.add(claim, slot.name)


def _free_port(
    seed: str, port: Port, hosts: tuple[str, ...], only: list[int] | None, had: tuple[claims.Index, ...]
) -> int | None:
    first, last = port.published_range() or OUR_PORTS
    start = 0 if port.published else addressing.number_of(seed, last - first + 1)
    candidates = [first + (start + position) % (last - first + 1) for position in range(last - first + 1)]
    for candidate in candidates if only is None else [number for number in only if first <= number <= last]:
        wanted = [claims.host_port(each) for each in port_maps(port, hosts, candidate)]
        if not any(index.meeting(claim) for index in had for claim in wanted):
            return candidate
    return None
