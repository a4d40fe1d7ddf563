"""Ports of this machine: who has which, and keeping one so that nobody else takes it unnoticed.

A published port is served by the firewall, no socket is needed for that. The socket that `hold` gives is there for the others:
while it is open a `bind` to the same port fails with EADDRINUSE, and `ss` shows who has it.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine import errors
from engine.network import sock_diag
from engine.network.portmap import RELAYED
from engine.types.parts import PortMap

LISTEN, UDP_UNCONNECTED = "0A", "07"  # linux/tcp_states.h, as /proc/net/tcp and /proc/net/udp write them
TCP_FILES, UDP_FILES = ("tcp", "tcp6"), ("udp", "udp6")
WORD = struct.Struct("=I")  # the files write an address as words of the processor's order
MAPPED = b"\0" * 10 + b"\xff\xff"  # RFC 4291, 2.5.5.2

KINDS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_SEQPACKET, socket.IPPROTO_SCTP),
}

CHOSEN = range(49000, 49901)
"""From here come the ports that a spec leaves to us."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that somebody listens on. `address` "0.0.0.0", "::": on all addresses of this machine of that family."""

    address: str
    port: int
    protocol: str
    inode: int


def hold(port: PortMap) -> socket.socket:
    """Take the port; the caller keeps the socket open for as long as the port is published. Raises `EngineError` naming who
    has it."""
    holder = _socket_for(port)
    try:
        try:
            holder.bind((port.host_ip, port.host_port))
            if (port.host_ip, port.protocol) == (RELAYED, "udp"):  # to itself, so that our relay hears all others
                holder.connect((port.host_ip, port.host_port))
        except OSError:
            if port.protocol != "tcp" or find(port):
                raise
            # only what is left of ended connections: listening takes the port all the same, and nothing ever arrives
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((port.host_ip, port.host_port))
            if port.host_ip != RELAYED:  # there our relay listens
                holder.listen(1)
    except OSError as error:
        holder.close()
        listener = find(port)
        why = f"{owner_of(listener)} has it" if listener else str(error.strerror)
        raise errors.EngineError(f"cannot publish {shown(port)} on this machine: {why}") from error
    except BaseException:
        holder.close()
        raise
    return holder


def _socket_for(port: PortMap) -> socket.socket:
    """Raises `EngineError` where this kernel has no such protocol."""
    kind, protocol = KINDS[port.protocol]
    family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
    try:
        holder = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        message = f"cannot publish {shown(port)}: this machine's kernel has no {port.protocol}"
        if error.errno == errno.EAFNOSUPPORT:
            message = f"cannot publish {shown(port)}: this machine's kernel has no IPv6"
        raise errors.TerminalEngineError(message) from error
    if family == socket.AF_INET6:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # for our relay of [::1]
    return holder


def shown(port: PortMap) -> str:
    """As `ss` writes it: 0.0.0.0:80/tcp, [::]:80/tcp."""
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{host}:{port.host_port}/{port.protocol}"


def bound_unseen() -> Iterator[PortMap]:
    """Ports of `CHOSEN` that nobody can have now, whoever has them: a socket that is bound and does not listen is in no list
    of the kernel's (before 6.8), such as those by which another corral holds its ports. 4 µs a port."""
    for protocol, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):
        for number in CHOSEN:
            with socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC) as probe:
                try:
                    probe.bind(("0.0.0.0", number))
                except OSError:
                    yield PortMap("0.0.0.0", number, 0, protocol)


def find(port: PortMap) -> Listener | None:
    """Who listens on this port of this machine, on that address or on all."""
    every = "::" if ":" in port.host_ip else "0.0.0.0"
    for listener in listeners():
        same = listener.port == port.host_port and listener.protocol == port.protocol
        alike = (":" in listener.address) == (":" in port.host_ip)
        if same and alike and (every in (port.host_ip, listener.address) or listener.address == port.host_ip):
            return listener
    return None


def taken(held_by_us: frozenset[int] = frozenset()) -> tuple[tuple[PortMap, str], ...]:
    """All ports that somebody listens on, with who that is, sorted. `held_by_us`: inodes of sockets to leave out."""
    found = {listener for listener in listeners() if listener.inode not in held_by_us}
    owners = _owners({listener.inode for listener in found})
    return tuple(
        sorted(
            (PortMap(listener.address, listener.port, 0, listener.protocol), owners.get(listener.inode, "the kernel"))
            for listener in found
        )
    )


def listeners() -> Iterator[Listener]:
    """All ports of this network namespace that somebody has: TCP in state LISTEN, UDP without a peer."""
    try:
        found = [(each.address, each.port, "tcp", each.inode, each.only6) for each in sock_diag.listening()]
    except OSError:
        found = list(_of_files(TCP_FILES, "tcp", LISTEN))
    for packed, port, protocol, inode, only6 in (*found, *_of_files(UDP_FILES, "udp", UDP_UNCONNECTED)):
        for address in _addresses_of(packed, only6=only6):
            yield Listener(address, port, protocol, inode)


def _of_files(names: Sequence[str], protocol: str, state: str) -> Iterator[tuple[bytes, int, str, int, bool]]:
    for name in names:
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:  # no IPv6
            continue
        for fields in map(str.split, lines):
            if fields[3] == state:
                address, _, port = fields[1].rpartition(":")
                words = (int(address[index : index + 8], 16) for index in range(0, len(address), 8))
                yield b"".join(map(WORD.pack, words)), int(port, 16), protocol, int(fields[9]), False


def owner_of(listener: Listener) -> str:
    """Say who that is: `nginx (pid 812)`."""
    return _owners({listener.inode}).get(listener.inode, "the kernel")


def inode_of(held: socket.socket) -> int:
    return os.fstat(held.fileno()).st_ino


def _addresses_of(packed: bytes, *, only6: bool) -> tuple[str, ...]:
    """The addresses that it listens on. [::] takes IPv4 too, unless told otherwise."""
    if len(packed) == 4:
        return (socket.inet_ntoa(packed),)
    if not any(packed):
        return ("::",) if only6 else ("0.0.0.0", "::")
    if packed.startswith(MAPPED):
        return (socket.inet_ntoa(packed[12:]),)
    return (socket.inet_ntop(socket.AF_INET6, packed),)


def _owners(inodes: set[int]) -> dict[int, str]:
    """Which process has each of these sockets open: a walk over all processes."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, str] = {}
    for pid in filter(str.isdigit, os.listdir("/proc") if wanted else ()):
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                inode = wanted.get(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
                if inode is not None and inode not in found:
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                        found[inode] = f"{file.read().strip()} (pid {pid})"
        except OSError:  # it has just ended
            continue
    return found
