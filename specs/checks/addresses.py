"""Whether subnets and addresses are such, fit into each other, and are given once; of both families."""

import ipaddress
from collections.abc import Iterator

from specs.errors import Path, SpecError, dotted
from specs.model.network import Network, Pool
from specs.model.project import Project
from specs.model.service import Service

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Subnets = dict[tuple[str, int], IPNetwork]
"""By network and family: 4 or 6."""

HOST_GATEWAY = "host-gateway"
"""Stands for the machine in `extra_hosts`."""
_SMALLEST = {4: 30, 6: 126}
_EXAMPLE = {4: "172.20.0.0/24", 6: "fd12:3456:789a::/64"}
_FAMILY = {4: "IPv4", 6: "IPv6"}


def problems(project: Project) -> Iterator[SpecError]:
    """Every address or subnet that cannot be had."""
    subnets: Subnets = {}
    for key, network in project.networks.items():
        yield from _families(network, ("networks", key))
        for index, pool in enumerate(network.ipam.config):
            yield from _pool(key, pool, ("networks", key, "ipam", "config", index), subnets)
    yield from _static(project, subnets)
    for body in project.bodies():
        yield from _plain(body.service, body.path)


def _families(network: Network, path: Path) -> Iterator[SpecError]:
    if not network.enable_ipv4 and not network.enable_ipv6:
        yield SpecError((*path, "enable_ipv4"), "a network needs one of IPv4 and IPv6", hint="say enable_ipv6: true")
    seen = set()
    for index, pool in enumerate(network.ipam.config):
        where = (*path, "ipam", "config", index)
        version = 6 if pool.is_ipv6 else 4
        if version in seen:
            yield SpecError(where, f"a second subnet of {_FAMILY[version]} is not supported")
        seen.add(version)
        if version == 6 and not network.enable_ipv6:
            yield SpecError(where, "a pool of IPv6 in a network without it", hint="say enable_ipv6: true")
        if version == 4 and not network.enable_ipv4:
            yield SpecError(where, "a pool of IPv4, but enable_ipv4 is false")


def _pool(key: str, pool: Pool, path: Path, subnets: Subnets) -> Iterator[SpecError]:
    if pool.subnet is None:
        for each in ("gateway", "ip_range", "aux_addresses"):
            if getattr(pool, each):
                yield SpecError((*path, each), f"{'an' if each == 'aux_addresses' else 'a'} {each} needs a subnet")
        return
    try:
        subnet = subnet_of(pool.subnet)
    except ValueError as error:
        yield SpecError((*path, "subnet"), str(error))
        return
    for (other, _), taken in subnets.items():
        if taken.version == subnet.version and subnet.overlaps(taken):
            yield SpecError((*path, "subnet"), f"{subnet} overlaps {taken} (network {other})")
    subnets[key, subnet.version] = subnet
    yield from _within(pool, subnet, path)


def subnet_of(text: str) -> IPNetwork:
    """Raises ValueError that says why it is none that a network can have."""
    try:
        subnet = ipaddress.ip_network(text)
    except ValueError as error:
        example = _EXAMPLE[6 if ":" in text else 4]
        reason = "its host bits are not 0" if "host bits" in str(error) else f"write it like {example}"
        raise ValueError(f"'{text}' is not a subnet: {reason}") from None
    least = _SMALLEST[subnet.version]
    if subnet.prefixlen > least:
        raise ValueError(f"{subnet} is too small: a gateway and a host need a /{least} at least")
    if subnet.version == 6 and (subnet.is_link_local or subnet.is_multicast or subnet.is_loopback):
        raise ValueError(f"{subnet} is link-local, multicast or loopback: no network can have it")
    return subnet


def _within(pool: Pool, subnet: IPNetwork, path: Path) -> Iterator[SpecError]:
    if pool.gateway is not None:
        gateway = _address(pool.gateway)
        if gateway is None:
            yield SpecError((*path, "gateway"), f"'{pool.gateway}' is not an address")
        elif gateway not in subnet:
            yield SpecError((*path, "gateway"), f"{gateway} is not in {subnet}")
        elif gateway in edges(subnet):
            yield SpecError((*path, "gateway"), f"{gateway} is the network's or the broadcast address of {subnet}")
    for name, text in pool.aux_addresses.items():
        reserved = _address(text)
        if reserved is None:
            yield SpecError((*path, "aux_addresses", name), f"'{text}' is not an address")
        elif reserved not in subnet:
            yield SpecError((*path, "aux_addresses", name), f"{reserved} is not in {subnet}")
    if pool.ip_range is not None:
        try:
            within = ipaddress.ip_network(pool.ip_range)
        except ValueError:
            yield SpecError((*path, "ip_range"), f"'{pool.ip_range}' is not a subnet")
            return
        if within.version != subnet.version or not _is_part(within, subnet):
            yield SpecError((*path, "ip_range"), f"{within} is not in {subnet}")


def _is_part(one: IPNetwork, other: IPNetwork) -> bool:
    return one.network_address in other and one.prefixlen >= other.prefixlen


def edges(subnet: IPNetwork) -> tuple[IPAddress, ...]:
    """The addresses that no host can have: the network's and the broadcast address; of IPv6 that of any router (RFC 4291,
    2.6.1)."""
    if subnet.version == 6:
        return (subnet.network_address,)
    return (subnet.network_address, subnet.broadcast_address)


def _static(project: Project, subnets: Subnets) -> Iterator[SpecError]:
    taken: dict[tuple[str, IPAddress], str] = {}
    for body in project.bodies():
        for key, joined in body.service.networks.items():
            for version, word in ((4, "ipv4_address"), (6, "ipv6_address")):
                text, network = getattr(joined, word), project.networks.get(key)
                if text is None or network is None:
                    continue
                path = (*body.path, "networks", key, word)
                address = _address(text)
                if address is None or address.version != version:
                    yield SpecError(path, f"'{text}' is not an address" + (" of IPv6" if version == 6 else ""))
                    continue
                yield from _one_static(address, key, network, subnets.get((key, version)), path)
                owner = taken.setdefault((key, address), dotted(body.path))
                if owner != dotted(body.path):
                    yield SpecError(path, f"{address} is taken already, by {owner} (network {key})")


def _one_static(
    address: IPAddress, key: str, network: Network, subnet: IPNetwork | None, path: Path
) -> Iterator[SpecError]:
    if network.external:
        return  # its subnet is known only where it was made
    version = address.version
    pool = network.pool6 if version == 6 else network.pool
    if not (network.enable_ipv6 if version == 6 else network.enable_ipv4):
        hint = f"say networks.{key}.enable_ipv{version}: true"
        yield SpecError(path, f"{address} needs {_FAMILY[version]}, which network {key} has not", hint=hint)
    elif subnet is None:
        if pool.subnet is None:
            hint = f"give networks.{key} a subnet: ipam: {{config: [{{subnet: {_quoted(_EXAMPLE[version])}}}]}}"
            yield SpecError(path, f"{address} needs a subnet that is declared (network {key})", hint=hint)
    elif address not in subnet:
        yield SpecError(path, f"{address} is not in {subnet} (network {key})")
    elif address in edges(subnet):
        which = "network's" if address == subnet.network_address else "broadcast"
        yield SpecError(path, f"{address} is the {which} address of {subnet} (network {key})")
    elif address == gateway_of(pool, subnet):
        yield SpecError(path, f"{address} is the gateway of {subnet} (network {key})")
    elif holder := next((name for name, text in pool.aux_addresses.items() if _address(text) == address), ""):
        yield SpecError(path, f"{address} is reserved for {holder} (aux_addresses of network {key})")


def _quoted(text: str) -> str:
    return f'"{text}"' if ":" in text else text


def gateway_of(pool: Pool, subnet: IPNetwork) -> IPAddress:
    """The gateway: the one given, or the subnet's first address that a host can have."""
    given = _address(pool.gateway) if pool.gateway is not None else None
    return given if given is not None else subnet[1]


def _plain(service: Service, path: Path) -> Iterator[SpecError]:
    for index, server in enumerate(service.dns):
        if _address(server) is None:
            yield SpecError((*path, "dns", index), f"'{server}' is not an address")
    for index, (name, text) in enumerate(service.extra_hosts):
        if text == HOST_GATEWAY:
            if service.network_mode == "none":
                message = f"{text} (of {name}) cannot be reached with network_mode none"
                yield SpecError((*path, "extra_hosts", index), message)
            continue
        try:
            ipaddress.ip_address(text)
        except ValueError:
            yield SpecError((*path, "extra_hosts", index), f"'{text}' is not an address (of {name})")


def _address(text: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
