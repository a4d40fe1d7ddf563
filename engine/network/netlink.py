"""Raw rtnetlink, one blocking socket a call: what a shim does to its own interfaces, and the messages of `engine.network.links`.

Everything here acts on the network namespace of the calling thread and is done when the call returns; errors are `OSError`
with the kernel's own words where it gives some. A batch of messages goes out in one send; the kernel stops at nothing, so the
first error is raised after the last message was answered.

Runs in shims: the listed stdlib modules only.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence

# linux/netlink.h
NETLINK_ROUTE = 0
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
NLM_F_DUMP = 0x300
NLM_F_DUMP_INTR = 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG, NLM_F_CAPPED, NLM_F_ACK_TLVS = 1, 0x100, 0x200
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 270, 10, 11, 12

# linux/rtnetlink.h
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_NEWROUTE = 16, 17, 18, 20, 21, 22, 24
RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, RT_TABLE_MAIN = 3, 0, 1, 254
RT_SCOPE_LINK = 253
RTA_OIF, RTA_GATEWAY = 4, 5
RTEXT_FILTER_SKIP_STATS = 8

# linux/if_link.h, linux/veth.h, linux/if_addr.h
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_PID, IFLA_EXT_MASK = (
    1,
    3,
    4,
    10,
    18,
    19,
    29,
)
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_BRPORT_MODE = 4  # hairpin
VETH_INFO_PEER = 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_NODAD = 0x02
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3FFF

IFF_UP, SIOCGIFFLAGS = 1, 0x8913  # linux/if.h, linux/sockios.h
LOOPBACK_INDEX = 1  # net/core/net_namespace.c: the first link of every namespace
BUFFER_BYTES = 1 << 18

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
ATTRIBUTE = struct.Struct("=HH")  # struct nlattr
LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
ADDRESS = struct.Struct("=BBBBi")  # struct ifaddrmsg
ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg


# ------------------------------------------------------------------------------------------------ what a shim does


def loopback_up() -> None:
    """Bring up lo, which also gives it 127.0.0.1/8. Idempotent."""
    transact(message(RTM_NEWLINK, 0, LINK.pack(0, 0, LOOPBACK_INDEX, IFF_UP, IFF_UP)))


def configure_interface(name: str, addresses: Sequence[str], gateways: Sequence[str] = (), mtu: int = 0) -> None:
    """Make `name` up with exactly these addresses ("a/n", of both families) and, for each gateway, the default route of its
    family; then tell the network that the addresses are here now. Idempotent: what else the interface had is taken off first, but
    what the kernel gave it. `mtu` 0: as it is."""
    index = _index(name)
    was_up = _is_up(name)
    wanted = [packed_of(address) for address in addresses]
    of_ipv4, of_ipv6 = ([each for each in wanted if len(each[0]) == length] for length in (4, 16))
    messages = [
        message(RTM_DELADDR, 0, body)
        for body in _addresses_of(index)
        if not any(_is_address(body, packed, prefix_length) for packed, prefix_length in wanted)
    ]
    size = attribute(IFLA_MTU, struct.pack("=I", mtu)) if mtu else b""
    messages += [new_address(index, packed, prefix_length) for packed, prefix_length in of_ipv4]
    messages.append(message(RTM_NEWLINK, 0, LINK.pack(0, 0, index, IFF_UP, IFF_UP) + size))
    messages += [new_address(index, packed, prefix_length) for packed, prefix_length in of_ipv6]
    messages += [_default_route(index, gateway) for gateway in gateways]
    if not was_up:
        _have_it_announced(name)
    transact(*messages)
    for packed, _ in wanted if was_up else of_ipv6:
        announce(name, packed)


def packed_of(text: str) -> tuple[bytes, int]:
    """The bytes of an address "a/n", and n."""
    address, _, prefix_length = text.partition("/")
    return packed_address(address), int(prefix_length)


def packed_address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def old_address(index: int, packed: bytes, prefix_length: int) -> bytes:
    """The message that takes an address away."""
    family = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET
    body = ADDRESS.pack(family, prefix_length, 0, RT_SCOPE_UNIVERSE, index)
    return message(RTM_DELADDR, 0, body + attribute(IFA_LOCAL, packed))


def new_address(index: int, packed: bytes, prefix_length: int) -> bytes:
    """The message that gives one. IPv6 without waiting whether somebody else has it: addresses are given by us, and once."""
    family, flags = (socket.AF_INET6, IFA_F_NODAD) if len(packed) == 16 else (socket.AF_INET, 0)
    body = ADDRESS.pack(family, prefix_length, flags, RT_SCOPE_UNIVERSE, index)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    return message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)


def _is_up(name: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = struct.pack("=16sH14x", name.encode(), 0)
        return bool(struct.unpack("=16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1] & IFF_UP)


def _have_it_announced(name: str) -> None:
    """Let the kernel announce the IPv4 addresses that an interface has when it comes up. That costs nothing; `announce` closes a
    packet socket, and waits 10 ms for all processors to have forgotten it."""
    with open(f"/proc/sys/net/ipv4/conf/{name}/arp_notify", "wb", buffering=0) as file:
        file.write(b"1")


def announce(name: str, packed: bytes) -> None:
    """Send one gratuitous ARP, or its like of IPv6, so that whoever remembers another owner of the address learns the new one at
    once.

    Best effort: an interface whose cable is still down loses it, and then nobody can remember anything either.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as wire:
        try:
            wire.bind((name, 0x0806))
            mac = wire.getsockname()[4]
            wire.send(_advertisement(mac, packed) if len(packed) == 16 else _question(mac, packed))
        except OSError as error:
            if error.errno not in (errno.ENETDOWN, errno.ENOBUFS, errno.ENXIO):
                raise


def _question(mac: bytes, packed: bytes) -> bytes:
    """RFC 826: Ethernet, IPv4, 6 and 4 bytes long, request; sender and target are the same."""
    question = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + packed + b"\0" * 6 + packed
    return b"\xff" * 6 + mac + b"\x08\x06" + question


def _advertisement(mac: bytes, packed: bytes) -> bytes:
    """RFC 4861, 4.4 and 7.2.6: an unsolicited neighbour advertisement, overriding, with its own link-layer address."""
    everybody = socket.inet_pton(socket.AF_INET6, "ff02::1")
    content = b"\x20\0\0\0" + packed + b"\x02\x01" + mac
    pseudo = packed + everybody + struct.pack("!II", 4 + len(content), socket.IPPROTO_ICMPV6)
    total = sum(struct.unpack(f"!{(len(pseudo) + 4 + len(content)) // 2}H", pseudo + b"\x88\0\0\0" + content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    said = struct.pack("!BBH", 136, 0, ~total & 0xFFFF) + content
    head = struct.pack("!IHBB", 6 << 28, len(said), socket.IPPROTO_ICMPV6, 255) + packed + everybody
    return b"\x33\x33\0\0\0\x01" + mac + b"\x86\xdd" + head + said


def ipv6_off() -> None:
    """Shut IPv6 in this namespace, for interfaces that come later too. A kernel without IPv6 has nothing to shut."""
    for scope in ("all", "default"):
        try:
            with open(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "w", encoding="ascii") as file:
                file.write("1")
        except FileNotFoundError:
            return


# ---------------------------------------------------------------------------------------------------- messages


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:  # it raises without saying which
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name) from None


def text(name: str) -> bytes:
    return name.encode() + b"\0"


def text_of(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def attribute(number: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield number & NLA_TYPE_MASK, data[offset + 4 : offset + length]
        offset += length + (-length % 4)


def chosen(data: bytes, offset: int, wanted: Collection[int]) -> dict[int, bytes]:
    """The attributes with these numbers, of the many that the kernel tells."""
    found = {}
    last = len(data) - ATTRIBUTE.size
    while offset <= last:
        length, number = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size:
            break
        if number & NLA_TYPE_MASK in wanted:
            found[number & NLA_TYPE_MASK] = data[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def message(kind: int, flags: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 0, 0) + body


def _default_route(index: int, gateway: str) -> bytes:
    packed = packed_address(gateway)
    family = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET
    body = ROUTE.pack(family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
    body += attribute(RTA_GATEWAY, packed) + attribute(RTA_OIF, struct.pack("=i", index))
    return message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)


def _addresses_of(index: int) -> list[bytes]:
    """The interface's addresses, each as the body of the message that takes it away; without those of IPv6 that the kernel made
    of its MAC."""
    found = []
    for body in dump(RTM_GETADDR, ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        family, _, _, scope, at = ADDRESS.unpack_from(body)
        if at == index and (family == socket.AF_INET or (family == socket.AF_INET6 and scope != RT_SCOPE_LINK)):
            local = b"".join(
                attribute(number, value) for number, value in attributes(body, ADDRESS.size) if number <= IFA_LOCAL
            )
            found.append(body[: ADDRESS.size] + local)
    return found


def _is_address(body: bytes, packed: bytes, prefix_length: int) -> bool:
    return address_of(dict(attributes(body, ADDRESS.size))) == packed and body[1] == prefix_length


def address_of(values: Mapping[int, bytes]) -> bytes:
    """Of IPv6 there is one, of IPv4 its own beside the other side's."""
    return values.get(IFA_LOCAL) or values[IFA_ADDRESS]


def open_socket(protocol: int = NETLINK_ROUTE) -> socket.socket:
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    connection.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    connection.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)  # an answer does not repeat the question
    return connection


def transact(*messages: bytes, but: int = 0) -> int:
    """Send messages that each ask to be acknowledged; raise the first error after the last answer. Errors of the number `but`
    are none. Returns how many messages had none at all."""
    with open_socket() as connection:
        connection.send(b"".join(messages))
        return await_acknowledgments(connection, len(messages), but=but)


def await_acknowledgments(connection: socket.socket, count: int, *, but: int = 0) -> int:
    found: list[OSError | None] = []
    while len(found) < count:
        received = answers(connection.recv(BUFFER_BYTES))
        found += [_error_of(flags, body) for kind, flags, body in received if kind == NLMSG_ERROR]
    for error in found:
        if error and error.errno != but:
            raise error
    return found.count(None)


def dump(kind: int, body: bytes, protocol: int = NETLINK_ROUTE) -> list[bytes]:
    """Ask for all of something; again where the answer was torn by a change meanwhile."""
    while True:
        with open_socket(protocol) as connection:
            connection.send(HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 0, 0) + body)
            found, torn = collect(connection)
        if not torn:
            return found


def collect(connection: socket.socket) -> tuple[list[bytes], bool]:
    found: list[bytes] = []
    torn = False
    while True:
        for kind, flags, body in answers(connection.recv(BUFFER_BYTES)):
            torn = torn or bool(flags & NLM_F_DUMP_INTR)
            if kind == NLMSG_DONE:
                return found, torn
            if kind == NLMSG_ERROR:
                raise _error_of(flags, body) or OSError(errno.EPROTO, "the kernel acknowledged a dump")
            found.append(body)


def answers(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, offset)
        yield kind, flags, data[offset + HEADER.size : offset + length]
        offset += length + (-length % 4)


def _error_of(flags: int, body: bytes) -> OSError | None:
    (code,) = struct.unpack_from("=i", body)
    if code == 0:
        return None
    words = os.strerror(-code)
    if flags & NLM_F_ACK_TLVS:
        for number, value in attributes(body, 4 + HEADER.size):
            if number == NLMSGERR_ATTR_MSG:
                words = f"{words}: {value.rstrip(chr(0).encode()).decode(errors='replace')}"
    return OSError(-code, words)
