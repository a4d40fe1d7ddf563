"""The kernel's memory of connections: forgetting those that lead to where nothing is any more.

A UDP flow keeps the destination it was given when it began, also after its port map is gone or leads elsewhere; an address that
is given to another container would inherit what was remembered of the first.
"""

import errno
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass

from engine import errors, sysctls
from engine.network import netlink
from engine.types.parts import PortMap

NETLINK_NETFILTER = 12  # linux/netlink.h
NFNL_SUBSYS_CTNETLINK = 1  # linux/netfilter/nfnetlink.h
IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 1, 2  # linux/netfilter/nfnetlink_conntrack.h
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY = 1, 2
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST = 1, 2, 3, 4
FAMILIES: dict[int, tuple[int, int]] = {
    socket.AF_INET: (CTA_IP_V4_SRC, CTA_IP_V4_DST),
    socket.AF_INET6: (CTA_IP_V6_SRC, CTA_IP_V6_DST),
}
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3
HEADER = struct.Struct(">BBH")  # struct nfgenmsg
AT_ONCE = 100
"""Messages in one send: their answers must fit into a socket's buffer."""

PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction: from `source` to `destination`."""

    source: bytes
    destination: bytes
    protocol: int
    port: int


def forget(*, addresses: Collection[str] = (), ports: Collection[PortMap] = ()) -> int:
    """Forget every connection that one of these addresses takes part in, or that began at one of these ports of this machine
    and was led elsewhere, or is a UDP flow that might be led there now. Returns how many there were. One dump, which costs
    20 ms on a machine with a large table however little is in it: callers forget together, in a thread."""
    if not (addresses or ports) or not _count():
        return 0
    packed = {netlink.packed_address(address) for address in addresses}
    wanted = {(PROTOCOLS[port.protocol], port.host_port, ":" in port.host_ip) for port in ports}
    ipv6 = {len(address) == 16 for address in packed} | {is_ipv6 for _, _, is_ipv6 in wanted}
    families = [family for family in FAMILIES if (family == socket.AF_INET6) in ipv6]
    try:
        return sum(_forget(family, packed, {(protocol, port) for protocol, port, _ in wanted}) for family in families)
    except OSError as error:
        raise errors.EngineError(f"cannot forget old connections: {error.strerror}") from error


def _forget(family: int, packed: set[bytes], wanted: set[tuple[int, int]]) -> int:
    meant = []
    with netlink.open_socket(NETLINK_NETFILTER) as connection:
        for body in _dump(connection, family):
            fields = dict(netlink.attributes(body, HEADER.size))
            origin, answer = (_flow(fields.get(each), family) for each in (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY))
            if origin and answer and _is_meant(origin, answer, packed, wanted):
                meant.append(fields[CTA_TUPLE_ORIG])
        parts = (meant[first : first + AT_ONCE] for first in range(0, len(meant), AT_ONCE))
        return sum(_delete(connection, part, family) for part in parts)


def _count() -> int:
    """How many connections this network namespace remembers; 1 where the kernel does not say."""
    return int(sysctls.read("net.netfilter.nf_conntrack_count") or 1)


def _is_meant(origin: Flow, answer: Flow, addresses: set[bytes], ports: set[tuple[int, int]]) -> bool:
    if addresses & {origin.source, origin.destination, answer.source, answer.destination}:
        return True
    if (origin.protocol, origin.port) not in ports:
        return False
    was_led = origin.destination != answer.source
    began_before = origin.protocol == socket.IPPROTO_UDP and answer.destination == origin.source
    return was_led or began_before


def _dump(connection: socket.socket, family: int) -> list[bytes]:
    connection.send(_message(IPCTNL_MSG_CT_GET, netlink.NLM_F_DUMP, b"", family))
    found, _ = netlink.collect(connection)
    return found


def _delete(connection: socket.socket, origins: list[bytes], family: int) -> int:
    """How many there still were."""
    bodies = [netlink.attribute(netlink.NLA_F_NESTED | CTA_TUPLE_ORIG, origin) for origin in origins]
    connection.send(b"".join(_message(IPCTNL_MSG_CT_DELETE, netlink.NLM_F_ACK, body, family) for body in bodies))
    return netlink.await_acknowledgments(connection, len(bodies), but=errno.ENOENT)


def _flow(value: bytes | None, family: int) -> Flow | None:
    if value is None:
        return None
    parts = dict(netlink.attributes(value, 0))
    ip = dict(netlink.attributes(parts.get(CTA_TUPLE_IP, b""), 0))
    protocol = dict(netlink.attributes(parts.get(CTA_TUPLE_PROTO, b""), 0))
    source, destination = FAMILIES[family]
    if source not in ip or CTA_PROTO_NUM not in protocol:
        return None
    port = int.from_bytes(protocol.get(CTA_PROTO_DST_PORT, b""), "big")
    return Flow(ip[source], ip[destination], protocol[CTA_PROTO_NUM][0], port)


def _message(kind: int, flags: int, body: bytes, family: int) -> bytes:
    content = HEADER.pack(family, 0, 0) + body
    number = NFNL_SUBSYS_CTNETLINK << 8 | kind
    return netlink.HEADER.pack(16 + len(content), number, netlink.NLM_F_REQUEST | flags, 0, 0) + content
