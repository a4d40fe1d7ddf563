"""systemd-resolved, where the machine's programs ask it: told that a bridge leads to a server of names, ours, for some domains.

What it is told is the link's, and gone with it. It asks us for names in these domains and for the addresses of the network, and
nobody else for them; for everything else it asks whom it asked before.

# resolvectl(1); systemd.network(5), Domains= and "route-only"
"""

import logging
import os
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

import anyio

from engine import errors, programs
from engine.dns.forwarding import servers_of

log = logging.getLogger(__name__)

RUN = "/run/systemd/resolve"
STUBS = ("127.0.0.53", "127.0.0.54")  # systemd-resolved.service(8)
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Link:
    """A bridge of this machine: the `servers` ("ADDRESS:PORT") that know what is in these `domains`."""

    bridge: str
    servers: tuple[str, ...]
    domains: tuple[str, ...]


def program() -> str:
    """The path of resolvectl; "" where this machine's programs do not ask systemd-resolved."""
    if not os.path.exists(f"{RUN}/stub-resolv.conf"):
        return ""
    if not (set(servers_of(_text("/etc/resolv.conf"))) & set(STUBS) or _is_asked_by_nss(_text("/etc/nsswitch.conf"))):
        return ""
    return shutil.which("resolvectl") or ""


def _is_asked_by_nss(text: str) -> bool:
    lines = (line.partition("#")[0].partition(":") for line in text.splitlines())
    return any(name.strip() == "hosts" and "resolve" in words.split() for name, _, words in lines)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def reverse_zones(subnet: str) -> tuple[str, ...]:
    """The domains of the names that addresses of the subnet have; none where they would be too many, or not only of it."""
    network = ip_network(subnet)
    step = 8 if network.version == 4 else 4
    cut = -(-network.prefixlen // step) * step  # the next boundary at which zones are cut
    if cut - network.prefixlen > 4 or not cut or cut == network.max_prefixlen:
        return ()
    labels = 2 + cut // step  # in-addr.arpa, ip6.arpa: two
    zones = (str(part.network_address.reverse_pointer) for part in network.subnets(new_prefix=cut))
    return tuple(".".join(zone.split(".")[-labels:]) for zone in zones)


def is_told(link: Link, run: str = RUN) -> bool:
    """Whether resolved still knows of the servers, as far as it says: it writes down what it was told of a link."""
    try:
        with open(f"{run}/netif/{_index(link.bridge)}", encoding="utf-8", errors="replace") as file:
            said = file.read(1 << 16)
    except OSError:
        return False
    words = {word for line in said.splitlines() for word in line.partition("=")[2].split()}
    return set(link.servers) <= words and {f"~{domain}" for domain in link.domains} <= words


def has_been_told(bridge: str, run: str = RUN) -> bool:
    """Whether it knows anything of the link that was said to it."""
    return os.path.isfile(f"{run}/netif/{_index(bridge)}")


def _index(bridge: str) -> str:
    """Its number as text, "" where there is no such interface. (/sys may show those of another network namespace.)"""
    try:
        return str(socket.if_nametoindex(bridge))
    except OSError:
        return ""


async def tell(resolvectl: str, link: Link) -> None:
    """Raises `EngineError`."""
    for verb, words in (
        ("dns", link.servers),
        ("domain", tuple(f"~{domain}" for domain in link.domains)),
        ("default-route", ("no",)),
        ("dnssec", ("no",)),  # nobody signs for these domains
        ("dnsovertls", ("no",)),
        ("llmnr", ("no",)),
        ("mdns", ("no",)),
    ):
        await _run(resolvectl, verb, link.bridge, *words)


async def revert(resolvectl: str, bridges: Iterable[str]) -> None:
    """Take back what was said of these, those of them that are there. Raises `EngineError`."""
    for bridge in bridges:
        if _index(bridge):
            await _run(resolvectl, "revert", bridge)


async def _run(*command: str) -> None:
    try:
        with anyio.fail_after(ANSWER_S):
            done = await programs.run(command)
    except (OSError, TimeoutError) as error:
        raise errors.EngineError(f"cannot tell systemd-resolved: {error}") from error
    if done.code:
        raise errors.EngineError(f"cannot tell systemd-resolved: {' '.join(command[1:3])}: {done.words}")
