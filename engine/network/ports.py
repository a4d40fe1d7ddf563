"""Ports of this machine: who has which, and keeping one so that nobody else takes it unnoticed.

A published port is served by the firewall, no socket is needed for that. The socket that `hold` gives is there for the others:
while it is open a `bind` to the same port fails with EADDRINUSE, and `ss` shows who has it.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine import errors
from engine.network import sock_diag
from engine.types.parts import PortMap

LISTEN, UDP_UNCONNECTED = "0A", "07"  # linux/tcp_states.h, as /proc/net/tcp and /proc/net/udp write them
TCP_FILES, UDP_FILES = ("tcp", "tcp6"), ("udp", "udp6")
WORD = struct.Struct("=I")  # the files write an address as words of the processor's order
MAPPED = b"\0" * 10 + b"\xff\xff"  # RFC 4291, 2.5.5.2

CHOSEN = range(49000, 49901)
"""From here come the ports that a spec leaves to us."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that somebody listens on. `address` "0.0.0.0": on all addresses of this machine."""

    address: str
    port: int
    protocol: str
    inode: int


def hold(port: PortMap) -> socket.socket:
    """Take the port; the caller keeps the socket open for as long as the port is published. Raises `EngineError` naming who
    has it."""
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    holder = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)
    try:
        try:
            holder.bind((port.host_ip, port.host_port))
        except OSError:
            if port.protocol != "tcp" or find(port):
                raise
            # only what is left of ended connections: listening takes the port all the same, and nothing ever arrives
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((port.host_ip, port.host_port))
            holder.listen(1)
    except OSError as error:
        holder.close()
        listener = find(port)
        why = f"{owner_of(listener)} has it" if listener else str(error.strerror)
        raise errors.EngineError(
            f"cannot publish {port.host_ip}:{port.host_port}/{port.protocol} on this machine: {why}"
        ) from error
    except BaseException:
        holder.close()
        raise
    return holder


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
    everywhere = port.host_ip == "0.0.0.0"
    for listener in listeners():
        same = listener.port == port.host_port and listener.protocol == port.protocol
        if same and (everywhere or listener.address in ("0.0.0.0", port.host_ip)):
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
        found = [(_address_of(each.address), each.port, "tcp", each.inode) for each in sock_diag.listening()]
    except OSError:
        found = list(_of_files(TCP_FILES, "tcp", LISTEN))
    for address, port, protocol, inode in (*found, *_of_files(UDP_FILES, "udp", UDP_UNCONNECTED)):
        if address:
            yield Listener(address, port, protocol, inode)


def _of_files(names: Sequence[str], protocol: str, state: str) -> Iterator[tuple[str, int, str, int]]:
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
                yield _address_of(b"".join(map(WORD.pack, words))), int(port, 16), protocol, int(fields[9])


def owner_of(listener: Listener) -> str:
    """Say who that is: `nginx (pid 812)`."""
    return _owners({listener.inode}).get(listener.inode, "the kernel")


def inode_of(held: socket.socket) -> int:
    return os.fstat(held.fileno()).st_ino


def _address_of(packed: bytes) -> str:
    """The IPv4 address that it listens on; "" where IPv4 does not reach it. [::] takes IPv4 too, unless told otherwise."""
    if len(packed) == 4:
        return socket.inet_ntoa(packed)
    if not any(packed):
        return "0.0.0.0"
    return socket.inet_ntoa(packed[12:]) if packed.startswith(MAPPED) else ""


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
