"""Whether subnets and addresses are such, fit into each other, and are given once."""

import ipaddress
from collections.abc import Iterator

from specs.errors import Path, SpecError
from specs.network import Network
from specs.project import Project
from specs.service import Service


def problems(project: Project) -> Iterator[SpecError]:
    """Every address or subnet that cannot be had."""
    subnets: dict[str, ipaddress.IPv4Network] = {}
    for key, network in project.networks.items():
        path = ("networks", key, "ipam", "config", 0)
        found, wrong = _subnet(network, path)
        yield from wrong
        if found is None:
            continue
        for other, subnet in subnets.items():
            if found.overlaps(subnet):
                message = f"{found} overlaps {subnet} (network {other})"
                yield SpecError((*path, "subnet"), message)
        subnets[key] = found
        yield from _pool(network, found, path)
    yield from _static(project, subnets)
    for name, service in project.services.items():
        yield from _plain(service, ("services", name))


def _subnet(network: Network, path: Path) -> tuple[ipaddress.IPv4Network | None, list[SpecError]]:
    if len(network.ipam.config) > 1:
        return None, [SpecError((*path[:-1], 1), "a second subnet is not supported yet")]
    pool = network.pool
    if pool.subnet is None:
        given = [key for key in ("gateway", "ip_range") if getattr(pool, key) is not None]
        return None, [SpecError((*path, key), f"a {key} needs a subnet") for key in given]
    try:
        subnet = ipaddress.IPv4Network(pool.subnet)
    except ValueError as error:
        reason = "its host bits are not 0" if "host bits" in str(error) else "write it like 172.20.0.0/24"
        return None, [SpecError((*path, "subnet"), f"'{pool.subnet}' is not a subnet: {reason}")]
    if subnet.prefixlen > 30:
        return None, [SpecError((*path, "subnet"), f"{subnet} is too small: a gateway and a host need a /30 at least")]
    return subnet, []


def _pool(network: Network, subnet: ipaddress.IPv4Network, path: Path) -> Iterator[SpecError]:
    pool = network.pool
    if pool.gateway is not None:
        gateway = _address(pool.gateway)
        if gateway is None:
            yield SpecError((*path, "gateway"), f"'{pool.gateway}' is not an address")
        elif gateway not in subnet:
            yield SpecError((*path, "gateway"), f"{gateway} is not in {subnet}")
        elif gateway in (subnet.network_address, subnet.broadcast_address):
            yield SpecError((*path, "gateway"), f"{gateway} is the network's or the broadcast address of {subnet}")
    if pool.ip_range is not None:
        try:
            within = ipaddress.IPv4Network(pool.ip_range)
        except ValueError:
            yield SpecError((*path, "ip_range"), f"'{pool.ip_range}' is not a subnet")
            return
        if not within.subnet_of(subnet):
            yield SpecError((*path, "ip_range"), f"{within} is not in {subnet}")


def _static(project: Project, subnets: dict[str, ipaddress.IPv4Network]) -> Iterator[SpecError]:
    taken: dict[tuple[str, ipaddress.IPv4Address], str] = {}
    for name, service in project.services.items():
        for key, joined in service.networks.items():
            text, network = joined.ipv4_address, project.networks.get(key)
            if text is None or network is None:
                continue
            path = ("services", name, "networks", key, "ipv4_address")
            address = _address(text)
            if address is None:
                yield SpecError(path, f"'{text}' is not an address")
                continue
            yield from _one_static(address, key, network, subnets.get(key), path)
            owner = taken.setdefault((key, address), name)
            if owner != name:
                yield SpecError(path, f"{address} is taken already, by services.{owner} (network {key})")


def _one_static(
    address: ipaddress.IPv4Address, key: str, network: Network, subnet: ipaddress.IPv4Network | None, path: Path
) -> Iterator[SpecError]:
    if network.external:
        return  # its subnet is known only where it was made
    if subnet is None:
        if network.pool.subnet is None:
            hint = f"give networks.{key} a subnet: ipam: {{config: [{{subnet: 172.20.0.0/24}}]}}"
            yield SpecError(path, f"{address} needs a subnet that is declared (network {key})", hint=hint)
        return
    if address not in subnet:
        yield SpecError(path, f"{address} is not in {subnet} (network {key})")
    elif address in (subnet.network_address, subnet.broadcast_address):
        which = "network's" if address == subnet.network_address else "broadcast"
        yield SpecError(path, f"{address} is the {which} address of {subnet} (network {key})")
    elif address == gateway_of(network, subnet):
        yield SpecError(path, f"{address} is the gateway of {subnet} (network {key})")


def gateway_of(network: Network, subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Address:
    """The gateway: the one given, or the subnet's first address."""
    given = _address(network.pool.gateway) if network.pool.gateway is not None else None
    return given if given is not None else subnet.network_address + 1


def _plain(service: Service, path: Path) -> Iterator[SpecError]:
    for index, server in enumerate(service.dns):
        if _address(server) is None:
            yield SpecError((*path, "dns", index), f"'{server}' is not an IPv4 address")
    for index, (name, text) in enumerate(service.extra_hosts):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            yield SpecError((*path, "extra_hosts", index), f"'{text}' is not an address (of {name})")


def _address(text: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None
