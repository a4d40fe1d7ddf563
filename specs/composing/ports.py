"""The short form of a port: [[IP:][HOST]:]CONTAINER[/PROTOCOL], where HOST and CONTAINER may be ranges.

As docker/go-connections nat.ParsePortSpec reads it.
"""

import re
from typing import NamedTuple

from specs.patterns import pattern

_RANGE = pattern(r"(\d+)(?:-(\d+))?", re.ASCII)
PROTOCOLS = ("tcp", "udp", "sctp")


class Mapped(NamedTuple):
    """One port of a container; `published` "" is ours to choose, a range is to choose from."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: str = "tcp"


def parse(text: str) -> list[Mapped]:
    """The ports that the text maps. Raises ValueError that says which part is wrong."""
    rest, slash, protocol = text.partition("/")
    protocol = check_protocol(protocol.lower() if slash else "tcp")
    before, _, container = rest.rpartition(":")
    host_ip, _, host = before.rpartition(":")
    first, last = _range(container, "container")
    address = check_address(host_ip.removeprefix("[").removesuffix("]")) if host_ip else ""
    if not host:
        return [Mapped(target, "", address, protocol) for target in range(first, last + 1)]
    host_first, host_last = _range(host, "host")
    if first == last and host_first != host_last:
        return [Mapped(first, f"{host_first}-{host_last}", address, protocol)]
    if last - first != host_last - host_first:
        raise ValueError(f"the ranges {host} and {container} are not equally long")
    return [Mapped(target, str(host_first + target - first), address, protocol) for target in range(first, last + 1)]


def check_published(text: str) -> str:
    """The host port or range of the long form. Raises ValueError."""
    first, last = _range(text, "host") if text else (0, 0)
    return text if first != last else str(first or "")


def check_expose(text: str) -> str:
    """A port or range with an optional protocol. Raises ValueError."""
    ports, slash, protocol = text.partition("/")
    _range(ports, "container")
    if slash:
        check_protocol(protocol.lower())
    return text


def check_protocol(text: str) -> str:
    """One of the protocols that can be mapped. Raises ValueError."""
    if text not in PROTOCOLS:
        raise ValueError(f"'{text}' is not a protocol: tcp, udp or sctp")
    return text


def check_address(text: str) -> str:
    """A host address. Raises ValueError."""
    if ":" in text:
        return _check_address6(text)
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts):
        raise ValueError(f"'{text}' is not an address")
    return text


def _check_address6(text: str) -> str:
    from ipaddress import AddressValueError, IPv6Address  # only where one is written: the import costs

    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise ValueError(f"'{text}' is not an address") from None
    if address.scope_id is not None or address.is_link_local or address.is_multicast:
        raise ValueError(f"'{text}' is link-local or multicast: nothing can be published there")
    return text


def _range(text: str, which: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a {which} port or range")
    first, last = int(match[1]), int(match[2] or match[1])
    if last > 65535 or (first == 0 and which == "container"):
        raise ValueError(f"{which} port {text} is not between 1 and 65535")
    if first > last:
        raise ValueError(f"the range {text} ends before it begins")
    return first, last
