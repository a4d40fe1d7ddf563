"""What a member of a network may say of itself: frames come from its MAC address, packets and ARP from its own addresses, and
nobody in it is told of routers. All else is dropped where it enters the machine, by a small program at its end of the cable (tc,
classic BPF). It cannot be got around from inside, whatever frames are made up there.

Of IPv6, link-local addresses are not told apart, since a container makes its own. Fragments and longer chains of headers bring no
false neighbour in: the kernel believes no fragmented discovery (RFC 6980), and what has other headers before it is dropped here.
"""

import errno
import logging
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address

from engine.network import netlink

log = logging.getLogger(__name__)

RTM_NEWQDISC, RTM_DELQDISC, RTM_NEWTFILTER, RTM_GETTFILTER = 36, 37, 44, 46  # linux/rtnetlink.h
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_OPS_LEN, TCA_BPF_OPS, TCA_BPF_FLAGS = 4, 5, 8  # linux/pkt_cls.h
TCA_BPF_FLAG_ACT_DIRECT = struct.pack("=I", 1)
TC_H_CLSACT, TC_H_MIN_INGRESS = 0xFFFF0000, 0xFFF2  # linux/pkt_sched.h: a qdisc that queues nothing
ETH_P_ALL = 3
TRAFFIC = struct.Struct("=BxxxiIII")  # struct tcmsg
PRIORITY, HANDLE = 1, 1
AT_ONCE = 20
"""Questions in one send: their answers must fit into a socket's buffer."""
LACKING = frozenset({errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL})
"""What a kernel says that was built without."""

LOAD_WORD, LOAD_HALF, LOAD_BYTE, JUMP, EQUAL, MASK, RETURN = (
    0x20,
    0x28,
    0x30,
    0x05,
    0x15,
    0x54,
    0x06,
)  # linux/bpf_common.h
GO_ON, DROP = (RETURN, 0, 0, 0xFFFFFFFF), (RETURN, 0, 0, 2)  # TC_ACT_UNSPEC, TC_ACT_SHOT
TYPE, BEHIND = 12, 14  # in a frame: of what is in it, and that
IPV4, ARP, REVERSE_ARP, IPV6 = 0x0800, 0x0806, 0x8035, 0x86DD  # linux/if_ether.h
HOP_BY_HOP, ROUTING, DESTINATION, ICMPV6 = 0, 43, 60, 58  # RFC 8200
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, REDIRECT = range(
    133, 138
)  # RFC 4861
NOBODY = bytes(16)  # the unspecified address: who has none yet
MULTICAST_LISTENING = (130, 131, 132, 143)  # RFC 2710, RFC 3810: the only ones behind a hop-by-hop header

Instruction = tuple[int, int, int, int]
Line = Instruction | str
"""An instruction; "NAME:", a place; or "NAME", a jump to it, which is always forward."""


@lru_cache(maxsize=256)  # who has more cables makes some anew every ten seconds, 40 µs each
def program(mac: str, addresses: tuple[str, ...]) -> bytes:
    """The program (struct sock_filter, one after the other) that passes on what is said by this member."""
    found = [ip_address(address).packed for address in addresses]
    own, own6 = [each for each in found if len(each) == 4], [each for each in found if len(each) == 16]
    return _assembled(
        [
            (LOAD_WORD, 0, 0, 6),
            *_unless(int(mac.replace(":", "")[:8], 16), DROP),
            (LOAD_HALF, 0, 0, 10),
            *_unless(int(mac.replace(":", "")[8:], 16), DROP),
            (LOAD_HALF, 0, 0, TYPE),
            *_when(IPV4, "ipv4"),
            *_when(IPV6, "ipv6"),
            *_when(ARP, "arp"),
            *_when(REVERSE_ARP, DROP),
            GO_ON,
            "arp:",
            (LOAD_WORD, 0, 0, BEHIND + 14),
            *_when(0, GO_ON),  # a question whether somebody has the address (RFC 5227)
            "its own",
            "ipv4:",
            (LOAD_WORD, 0, 0, BEHIND + 12),
            "its own:",
            *(line for each in own for line in _when(int.from_bytes(each), GO_ON)),
            DROP,
            "ipv6:",
            *_ipv6(own6),
        ]
    )


def _ipv6(own: Sequence[bytes]) -> Iterable[Line]:
    header, beyond = BEHIND + 6, BEHIND + 40
    yield (LOAD_BYTE, 0, 0, header)
    yield from _when(ICMPV6, "icmp")
    yield from _when(HOP_BY_HOP, "first header")
    yield from _when(ROUTING, DROP)
    yield from _when(DESTINATION, DROP)
    yield "source"
    yield "first header:"
    yield (LOAD_HALF, 0, 0, beyond)
    yield from _unless(ICMPV6 << 8, DROP)  # and eight bytes long
    yield (LOAD_BYTE, 0, 0, beyond + 8)
    for kind in MULTICAST_LISTENING:
        yield from _when(kind, "source or nobody")
    yield DROP
    yield "icmp:"
    yield (LOAD_BYTE, 0, 0, beyond)
    yield from _when(ROUTER_ADVERTISEMENT, DROP)
    yield from _when(REDIRECT, DROP)
    yield from _when(NEIGHBOUR_ADVERTISEMENT, "target")
    yield from _when(ROUTER_SOLICITATION, "source or nobody")
    yield from _unless(NEIGHBOUR_SOLICITATION, "source")
    yield from _of_six(BEHIND + 8, NOBODY, "target")  # a question whether somebody has the address
    yield "source"
    yield "source or nobody:"
    yield from _of_six(BEHIND + 8, NOBODY, GO_ON)
    yield "source:"
    yield from _one_of(BEHIND + 8, own)
    yield "target:"
    yield from _one_of(beyond + 8, own)


def _one_of(at: int, own: Sequence[bytes]) -> Iterable[Line]:
    yield (LOAD_HALF, 0, 0, at)
    yield (MASK, 0, 0, 0xFFC0)
    yield from _when(0xFE80, GO_ON)
    for each in own:
        yield from _of_six(at, each, GO_ON)
    yield DROP


def _of_six(at: int, address: bytes, then: Line) -> Iterable[Line]:
    """Do it where the address is this one, else go on behind it."""
    words = struct.unpack("!4I", address)
    for number, word in enumerate(words):
        yield (LOAD_WORD, 0, 0, at + 4 * number)
        yield (EQUAL, 0, 2 * (3 - number) + 1, word)
    yield then


def _when(value: int, then: Line) -> tuple[Line, Line]:
    return (EQUAL, 0, 1, value), then


def _unless(value: int, then: Line) -> tuple[Line, Line]:
    return (EQUAL, 1, 0, value), then


def _assembled(lines: Sequence[Line]) -> bytes:
    places: dict[str, int] = {}
    code: list[Instruction | str] = []
    for line in lines:
        if isinstance(line, str) and line.endswith(":"):
            places[line.removesuffix(":")] = len(code)
        else:
            code.append(line)
    found = (
        line if isinstance(line, tuple) else (JUMP, 0, 0, places[line] - number - 1) for number, line in enumerate(code)
    )
    return b"".join(struct.pack("=HBBI", *each) for each in found)


# ----------------------------------------------------------------------------------------------------- in the kernel


_lacking: list[str] = []
"""Why the kernel cannot, once that is known."""


def is_possible() -> bool:
    """As far as is known: until the first `put`."""
    return not _lacking


def put(link: str, code: bytes) -> None:
    """Have what comes out of this link judged by the program, instead of the one before. Where the kernel cannot, nobody is
    guarded, which is said once. Raises OSError."""
    if _lacking or _is_put(link, code):
        return
    try:
        _put(link, code)  # somebody may have taken the qdisc away in between: a kernel that lacks it refuses again
    except OSError as error:
        if error.errno not in LACKING:
            raise
        _lacking.append(str(error))
        log.warning("members of a network can claim each other's addresses: this kernel lacks cls_bpf: %s", error)


def _is_put(link: str, code: bytes) -> bool:
    try:
        _put(link, code)
    except OSError as error:
        if error.errno not in LACKING:
            raise
        return False
    return True


def try_at(link: str) -> None:
    """Raises OSError where the kernel cannot."""
    _put(link, program("02:00:00:00:00:00", ()))


def _put(link: str, code: bytes) -> None:
    options = (
        netlink.attribute(TCA_BPF_OPS_LEN, struct.pack("=H", len(code) // 8))
        + netlink.attribute(TCA_BPF_OPS, code)
        + netlink.attribute(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
    )
    index = socket.if_nametoindex(link)
    netlink.transact(
        netlink.message(RTM_NEWQDISC, netlink.NLM_F_CREATE | netlink.NLM_F_EXCL, _queue(index)),
        netlink.message(
            RTM_NEWTFILTER,
            netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE,
            _filter(index) + netlink.attribute(TCA_OPTIONS, options),
        ),
        but=errno.EEXIST,
    )


def take_away(link: str) -> None:
    """Let everything through. Idempotent."""
    index = socket.if_nametoindex(link)
    try:
        netlink.transact(netlink.message(RTM_DELQDISC, 0, _queue(index)))
    except OSError as error:
        if error.errno not in LACKING:  # also where there is none
            raise


def programs(indexes: Sequence[int]) -> Mapping[int, bytes]:
    """The programs in force, by the link's index; those that have none are left out. 5 µs each."""
    found: dict[int, bytes] = {}
    for first in range(0, len(indexes), AT_ONCE):
        some = indexes[first : first + AT_ONCE]
        with netlink.open_socket() as connection:
            connection.send(b"".join(netlink.message(RTM_GETTFILTER, 0, _filter(index)) for index in some))
            ends = 0
            while ends < len(some):
                for kind, _, body in netlink.answers(connection.recv(netlink.BUFFER_BYTES)):
                    ends += kind == netlink.NLMSG_ERROR
                    if kind == RTM_NEWTFILTER:
                        index = TRAFFIC.unpack_from(body)[1]
                        options = dict(netlink.attributes(body, TRAFFIC.size)).get(TCA_OPTIONS, b"")
                        found[index] = dict(netlink.attributes(options, 0)).get(TCA_BPF_OPS, b"")
    return found


def _queue(index: int) -> bytes:
    return TRAFFIC.pack(0, index, TC_H_CLSACT, TC_H_CLSACT | 0xFFF1, 0) + netlink.attribute(TCA_KIND, b"clsact\0")


def _filter(index: int) -> bytes:
    place = TRAFFIC.pack(0, index, HANDLE, TC_H_CLSACT | TC_H_MIN_INGRESS, PRIORITY << 16 | socket.htons(ETH_P_ALL))
    return place + netlink.attribute(TCA_KIND, b"bpf\0")
