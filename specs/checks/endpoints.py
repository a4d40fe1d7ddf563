"""Whether what services ask of their networks' links fits together: MAC addresses, names of interfaces, link-local addresses,
options of drivers."""

import ipaddress
from collections.abc import Iterator

from specs.canonical import bridge_options
from specs.errors import Path, SpecError, dotted
from specs.model.network import Network
from specs.model.project import Project
from specs.model.service import Service, ServiceNetwork
from specs.patterns import pattern

_MAC = pattern(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}")


def problems(project: Project) -> Iterator[SpecError]:
    """Every link that cannot be had."""
    yield from _networks(project)
    macs: dict[tuple[str, str], str] = {}
    for _, service, path, number in project.bodies():
        yield from _service_mac(service, path, is_one=bool(number))
        yield from _interfaces(service, path)
        for key, joined in service.networks.items():
            where = (*path, "networks", key)
            yield from _link(joined, where)
            yield from _link_locals(joined, project.networks.get(key), where)
            mac = mac_of(service, key)
            owner = macs.setdefault((key, mac), dotted(path)) if mac else dotted(path)
            if owner != dotted(path):
                yield SpecError((*where, "mac_address"), f"{mac} is that of {owner} already (network {key})")


def _networks(project: Project) -> Iterator[SpecError]:
    bridges: dict[str, str] = {}
    for key, network in project.networks.items():
        path = ("networks", key, "driver_opts")
        if network.stands_for:
            continue
        try:
            options = bridge_options.parse(network.driver_opts)
        except bridge_options.OptionError as error:
            yield SpecError((*path, error.key), str(error), hint=error.hint)
            continue
        if network.enable_ipv6 and options.mtu < bridge_options.MTU_LEAST_IPV6:
            yield SpecError(
                (*path, bridge_options.MTU), f"IPv6 needs an mtu of {bridge_options.MTU_LEAST_IPV6} at least"
            )
        if options.bridge and bridges.setdefault(options.bridge, key) != key:
            message = f"the bridge {options.bridge} is that of network {bridges[options.bridge]}"
            yield SpecError((*path, bridge_options.NAME), message)


def mac_of(service: Service, key: str) -> str:
    """The MAC address that is asked for on one network, as the kernel writes it; "": none."""
    given = service.networks[key].mac_address
    if given is None and service.mac_address and key == by_priority(service)[0]:
        given = service.mac_address
    return (given or "").lower().replace("-", ":")


def by_priority(service: Service) -> list[str]:
    """The service's networks in the order in which they are joined (compose-go, NetworksByPriority)."""
    return sorted(service.networks, key=lambda key: (-service.networks[key].priority, key))


def interface_of(joined: ServiceNetwork) -> str:
    """The name that is asked for the interface; "": none."""
    return joined.interface_name or joined.driver_opts.get(bridge_options.INTERFACE_NAME, "")


def _service_mac(service: Service, path: Path, *, is_one: bool) -> Iterator[SpecError]:
    mac = service.mac_address
    if mac is None:
        return
    where = (*path, "mac_address")
    if problem := _mac_problem(mac, None if is_one else service):
        yield SpecError(where, problem)
    elif not service.networks:
        yield SpecError(where, f"there is no interface to give it to with network_mode {service.network_mode}")
    elif mac_of(service, by_priority(service)[0]) != mac.lower().replace("-", ":"):
        first = by_priority(service)[0]
        yield SpecError(where, f"is not the mac_address of network {first}, whose it would be", hint="give one of them")


def _mac_problem(text: str, service: Service | None = None) -> str:
    if not _MAC.fullmatch(text.lower()):
        return f"'{text}' is not a MAC address such as 02:42:ac:11:00:02"
    if int(text[:2], 16) & 1:
        return f"{text} is a multicast address: the first byte of an interface's is even"
    if not set(text) - set("0:-"):
        return f"{text} is nobody's address"
    if service is not None and (service.scale or 1) > 1:
        return f"{text} cannot be the address of {service.scale} containers"
    return ""


def _link(joined: ServiceNetwork, path: Path) -> Iterator[SpecError]:
    if joined.mac_address is not None and (problem := _mac_problem(joined.mac_address)):
        yield SpecError((*path, "mac_address"), problem)
    try:
        bridge_options.parse_endpoint(joined.driver_opts)
    except bridge_options.OptionError as error:
        yield SpecError((*path, "driver_opts", error.key), str(error), hint=error.hint)
    other = joined.driver_opts.get(bridge_options.INTERFACE_NAME)
    if other is not None and joined.interface_name not in (None, other):
        yield SpecError((*path, "interface_name"), f"is {joined.interface_name}, but the option says {other}")


def _interfaces(service: Service, path: Path) -> Iterator[SpecError]:
    taken: dict[str, str] = {}
    for key, joined in service.networks.items():
        where = (*path, "networks", key, "interface_name" if joined.interface_name is not None else "driver_opts")
        name = interface_of(joined)
        if joined.interface_name is None and not name:
            continue
        try:
            bridge_options.check_interface(name)
        except ValueError as error:
            yield SpecError(where, str(error))
        if taken.setdefault(name, key) != key:
            yield SpecError(where, f"'{name}' is the interface in network {taken[name]} already")


def _link_locals(joined: ServiceNetwork, network: Network | None, path: Path) -> Iterator[SpecError]:
    seen = set()
    for index, text in enumerate(joined.link_local_ips):
        where = (*path, "link_local_ips", index)
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            yield SpecError(where, f"'{text}' is not an address")
            continue
        if not address.is_link_local:
            yield SpecError(where, f"{address} is not link-local: 169.254.0.0/16 or fe80::/10")
        if address in seen:
            yield SpecError(where, f"{address} is given twice")
        if address.version == 6 and network is not None and not network.external and not network.enable_ipv6:
            yield SpecError(where, f"{address} needs IPv6, which the network has not", hint="say enable_ipv6: true")
        seen.add(address)
