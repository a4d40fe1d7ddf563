"""Links as the daemon needs them: a cable for each endpoint, and all links in one dump for each look.

Both happen too often for a general library: a cable is one message and 0.5 ms (three calls and 1.4 ms with pyroute2), and a link
of a dump 5 µs (250 µs). The calls block for so long; `delete_link` longer.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from engine.network import netlink

IFLA_GROUP, IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 27, 31, 32  # linux/if_link.h
ONE_QUEUE = b"".join(
    netlink.attribute(number, struct.pack("=I", 1)) for number in (IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES)
)
"""All that the kernel uses of a cable's end unless told otherwise; it makes room for one for each processor, 2 kB each."""

IFLA_BR_FDB_MAX_LEARNED = 49  # linux/if_link.h
RTM_GETROUTE, RTA_DST, RTPROT_RA = 26, 1, 9  # linux/rtnetlink.h
IFLA_BRPORT_ISOLATED = 33  # linux/if_link.h
AT_ONCE = 100
"""Messages in one send: their answers must fit into a socket's buffer."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as one dump tells it. `master` is the index of the bridge it is plugged into, 0 where none; `hairpin` says
    whether the bridge sends a packet back out of the port it came from, `isolated` whether it passes nothing on between this
    port and others that are isolated."""

    index: int
    name: str
    up: bool
    mtu: int
    mac: str
    master: int
    kind: str
    hairpin: bool
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """The other end of a cable: `name` in the network namespace of process `pid`, still down, with the address `mac`."""

    name: str
    pid: int
    mac: str


def index_of(name: str) -> int | None:
    """None where there is no such link."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def create_veth(name: str, end: End, *, bridge_index: int, mtu: int, isolated: bool = False) -> None:
    """Lay a cable: `name` here, plugged into the bridge, up and with hairpin on; `end` elsewhere. Either all of it exists
    afterwards or nothing. Raises FileExistsError where one of the two names is taken, ProcessLookupError where the process is
    gone."""
    peer = (
        netlink.LINK.pack(0, 0, 0, 0, 0)
        + netlink.attribute(netlink.IFLA_IFNAME, netlink.text(end.name))
        + netlink.attribute(netlink.IFLA_MTU, struct.pack("=I", mtu))
        + netlink.attribute(netlink.IFLA_ADDRESS, bytes.fromhex(end.mac.replace(":", "")))
        + netlink.attribute(netlink.IFLA_NET_NS_PID, struct.pack("=I", end.pid))
        + ONE_QUEUE
    )
    kind = netlink.attribute(netlink.IFLA_INFO_KIND, b"veth\0") + netlink.attribute(
        netlink.IFLA_INFO_DATA, netlink.attribute(netlink.VETH_INFO_PEER, peer)
    )
    body = (
        netlink.LINK.pack(0, 0, 0, netlink.IFF_UP, netlink.IFF_UP)
        + netlink.attribute(netlink.IFLA_IFNAME, netlink.text(name))
        + netlink.attribute(netlink.IFLA_MTU, struct.pack("=I", mtu))
        + netlink.attribute(netlink.IFLA_MASTER, struct.pack("=I", bridge_index))
        + netlink.attribute(netlink.IFLA_LINKINFO, kind)
        + ONE_QUEUE
    )
    netlink.transact(netlink.message(netlink.RTM_NEWLINK, netlink.NLM_F_CREATE | netlink.NLM_F_EXCL, body))
    try:
        netlink.transact(_port(name, isolated))
    except OSError:
        delete_link(name)
        raise


def plug(name: str, *, bridge_index: int, isolated: bool = False) -> None:
    """Put the link into the bridge (again), up and with hairpin on. Idempotent."""
    master = netlink.attribute(netlink.IFLA_MASTER, struct.pack("=I", bridge_index))
    netlink.transact(netlink.message(netlink.RTM_NEWLINK, 0, _up(name) + master), _port(name, isolated))


def limit_learning(bridge: str, most: int) -> None:
    """Let a bridge remember at most so many MAC addresses that it has seen; without a limit they take memory of the kernel's as
    fast as a member can make them up. Kernels before Linux 6.8 know no limit, and ignore this."""
    data = netlink.attribute(IFLA_BR_FDB_MAX_LEARNED, struct.pack("=I", most))
    kind = netlink.attribute(netlink.IFLA_INFO_KIND, b"bridge\0") + netlink.attribute(netlink.IFLA_INFO_DATA, data)
    netlink.transact(
        netlink.message(netlink.RTM_NEWLINK, 0, _named(bridge) + netlink.attribute(netlink.IFLA_LINKINFO, kind))
    )


def _port(name: str, isolated: bool) -> bytes:
    how = netlink.attribute(netlink.IFLA_BRPORT_MODE, b"\x01") + netlink.attribute(
        IFLA_BRPORT_ISOLATED, b"\x01" if isolated else b"\0"
    )
    slave = netlink.attribute(netlink.IFLA_INFO_SLAVE_KIND, b"bridge\0") + netlink.attribute(
        netlink.IFLA_INFO_SLAVE_DATA, how
    )
    return netlink.message(netlink.RTM_NEWLINK, 0, _up(name) + netlink.attribute(netlink.IFLA_LINKINFO, slave))


def _up(name: str) -> bytes:
    here = netlink.LINK.pack(0, 0, 0, netlink.IFF_UP, netlink.IFF_UP)
    return here + netlink.attribute(netlink.IFLA_IFNAME, netlink.text(name))


def delete_link(name: str) -> None:
    """Take a link away, a cable's other end with it. One that is gone is done. The kernel waits here, about 16 ms."""
    netlink.transact(netlink.message(netlink.RTM_DELLINK, 0, _named(name)), but=errno.ENODEV)


def delete_links(names: Sequence[str]) -> None:
    """Take many links away at once: in a group made up for that, so that the kernel waits once for all (0.4 ms each). Those
    that are gone are done."""
    if len(names) < 2:
        for name in names:
            delete_link(name)
        return
    group = netlink.attribute(
        IFLA_GROUP, struct.pack("=I", int.from_bytes(os.urandom(4), "little") | 1)
    )  # 0: everybody's
    found = 0
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        messages = [netlink.message(netlink.RTM_NEWLINK, 0, _named(name) + group) for name in some]
        found += netlink.transact(*messages, but=errno.ENODEV)
    if found:
        netlink.transact(netlink.message(netlink.RTM_DELLINK, 0, netlink.LINK.pack(0, 0, 0, 0, 0) + group))


def _named(name: str) -> bytes:
    return netlink.LINK.pack(0, 0, 0, 0, 0) + netlink.attribute(netlink.IFLA_IFNAME, netlink.text(name))


_seen: dict[bytes, Link] = {}
"""What the last dump said, and what it meant: most links say the same again."""


def links() -> list[Link]:
    """Read all links of this namespace in one dump (5 µs each)."""
    global _seen
    body = netlink.LINK.pack(0, 0, 0, 0, 0) + netlink.attribute(
        netlink.IFLA_EXT_MASK, struct.pack("=I", netlink.RTEXT_FILTER_SKIP_STATS)
    )
    before = _seen
    _seen = {said: before.get(said) or _link_of(said) for said in netlink.dump(netlink.RTM_GETLINK, body)}
    return list(_seen.values())


def addresses() -> dict[int, tuple[str, ...]]:
    """Read all addresses ("a/n") of this namespace, by the index of their link; without those of IPv6 that the kernel made of a
    MAC."""
    found: dict[int, tuple[str, ...]] = {}
    for family, body in _of_both(netlink.RTM_GETADDR, lambda family: netlink.ADDRESS.pack(family, 0, 0, 0, 0)):
        _, prefix_length, _, scope, index = netlink.ADDRESS.unpack_from(body)
        if family == socket.AF_INET or scope != netlink.RT_SCOPE_LINK:
            packed = netlink.address_of(dict(netlink.attributes(body, netlink.ADDRESS.size)))
            found[index] = (*found.get(index, ()), f"{socket.inet_ntop(family, packed)}/{prefix_length}")
    return found


def set_addresses(index: int, wanted: Collection[str]) -> None:
    """Give a link exactly these addresses ("a/n"). Those that it has already are not touched."""
    have = addresses().get(index, ())
    messages = [netlink.old_address(index, *netlink.packed_of(address)) for address in have if address not in wanted]
    messages += [netlink.new_address(index, *netlink.packed_of(address)) for address in wanted if address not in have]
    if messages:
        netlink.transact(*messages)


def routes() -> list[tuple[str, int]]:
    """Read all routes to somewhere ("a/n") but the default, with the index of the link they lead to (0: several)."""
    return [(f"{to}/{prefix_length}", index) for to, prefix_length, index, _ in _routes() if prefix_length]


def advertised() -> set[int]:
    """The indexes of the links that have routes which a router has told of (RFC 4861)."""
    return {index for _, _, index, protocol in _routes() if protocol == RTPROT_RA}


def _routes() -> Iterator[tuple[str, int, int, int]]:
    """Destination, prefix length, link and origin of each."""
    for family, body in _of_both(RTM_GETROUTE, lambda family: netlink.ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
        _, prefix_length, _, _, _, protocol, _, kind, _ = netlink.ROUTE.unpack_from(body)
        if kind == netlink.RTN_UNICAST:
            values = dict(netlink.attributes(body, netlink.ROUTE.size))
            (index,) = struct.unpack("=I", values.get(netlink.RTA_OIF, bytes(4)))
            to = values.get(RTA_DST, bytes(16 if family == socket.AF_INET6 else 4))
            yield socket.inet_ntop(family, to), prefix_length, index, protocol


def _of_both(kind: int, question: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """A dump of each family; a kernel without IPv6 has none of it."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            found = netlink.dump(kind, question(family))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
                continue
            raise
        yield from ((family, body) for body in found if body[0] == family)


def _link_of(body: bytes) -> Link:
    _, _, index, flags, _ = netlink.LINK.unpack_from(body)
    name, mac, mtu, master, kind, hairpin, isolated = "", "", 0, 0, "", False, False
    for number, value in netlink.attributes(body, netlink.LINK.size):
        match number:
            case 3:  # IFLA_IFNAME
                name = value.rstrip(b"\0").decode(errors="replace")
            case 1:  # IFLA_ADDRESS
                mac = value.hex(":")
            case 4:  # IFLA_MTU
                (mtu,) = struct.unpack("=I", value)
            case 10:  # IFLA_MASTER
                (master,) = struct.unpack("=I", value)
            case 18:  # IFLA_LINKINFO
                kind, hairpin, isolated = _kind_of(value)
    return Link(index, name, bool(flags & netlink.IFF_UP), mtu, mac, master, kind, hairpin, isolated)


def _kind_of(info: bytes) -> tuple[str, bool, bool]:
    kind, ports = "", dict[int, bytes]()
    for number, value in netlink.attributes(info, 0):
        if number == netlink.IFLA_INFO_KIND:
            kind = value.rstrip(b"\0").decode(errors="replace")
        elif number == netlink.IFLA_INFO_SLAVE_DATA:
            ports = dict(netlink.attributes(value, 0))
    return kind, ports.get(netlink.IFLA_BRPORT_MODE) == b"\x01", ports.get(IFLA_BRPORT_ISOLATED) == b"\x01"
