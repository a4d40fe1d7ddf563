"""Which subnets this machine already has a use for, so that no network of ours takes them away. Pure."""

import ipaddress
from collections.abc import Iterable

from engine.network.bridges import Dump

WHOLE_WORLD_BITS = 1
"""Routes as wide as this (a default route, or the two halves that a VPN sets) lead to everywhere and are no use of a subnet."""


def taken(dump: Dump, our_bridges: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The (subnet, who) pairs of all routes and interface addresses but those of our own bridges, sorted."""
    ours = set(our_bridges)
    names = {link.index: link.name for link in dump.links.values()}
    found = {
        (_subnet(route.destination), f"a route of {route.through}")
        for route in dump.routes
        if route.through not in ours
    }
    for index, addresses in dump.addresses.items():
        if names.get(index) not in ours:
            found |= {(_subnet(address), f"an address of {names.get(index, '?')}") for address in addresses}
    return tuple(
        sorted(
            (str(subnet), who)
            for subnet, who in found
            if subnet.prefixlen > WHOLE_WORLD_BITS and not _is_everywhere(subnet)
        )
    )


def _subnet(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _is_everywhere(subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Every interface has these."""
    return subnet.is_loopback or (subnet.version == 6 and (subnet.is_link_local or subnet.is_multicast))
