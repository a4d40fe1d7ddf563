"""DNS messages (RFC 1035, RFC 6891), as far as a server of names in a few private networks needs them. Pure.

What is read comes from containers and may be anything. A name is turned into text in lower case, one dot between labels; a dot
or a backslash inside a label is written `\\.` and `\\\\`, so that no two names become one. Replies repeat the question's own
bytes, so upper and lower case are kept.

Runs in the dns process: the listed stdlib modules only.
"""

import struct
from collections.abc import Sequence

HEADER = struct.Struct("!HHHHHH")
A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255  # RFC 1035 3.2.2, RFC 3596, RFC 6891
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE_MASK, RCODE_MASK = 0x7800, 0x000F
PLAIN_UDP_BYTES = 512  # RFC 1035 2.3.4
EDNS_UDP_BYTES = 1232  # dnsflagday.net/2020: no fragments
MESSAGE_BYTES_MAX = 65535
NAME_BYTES_MAX = 255


class Malformed(Exception):
    """Not a question that can be answered. `reply`: what to say nevertheless, or b"" where that would be wrong."""

    def __init__(self, reply: bytes) -> None:
        super().__init__("malformed DNS message")
        self.reply = reply


class Question:
    """What is asked. `raw` is the question's section; `limit` the longest answer that the client takes over UDP."""

    __slots__ = ("edns", "flags", "id", "kind", "limit", "name", "raw")

    def __init__(self, number: int, flags: int, raw: bytes, name: str, kind: int, udp_bytes: int | None) -> None:
        self.id, self.flags, self.raw, self.name, self.kind = number, flags, raw, name, kind
        self.edns = udp_bytes is not None
        self.limit = max(PLAIN_UDP_BYTES, min(udp_bytes or 0, EDNS_UDP_BYTES))


def parse(message: bytes) -> Question:
    """Read one question. Raises `Malformed`."""
    if len(message) < HEADER.size:
        raise Malformed(b"")
    number, flags, questions, _, _, additional = HEADER.unpack_from(message)
    if flags & QR:
        raise Malformed(b"")
    if flags & OPCODE_MASK:
        raise Malformed(_bare(number, flags, NOTIMP))
    if questions != 1:
        raise Malformed(_bare(number, flags, FORMERR))
    try:
        name, end = _name(message, HEADER.size)
        kind, klass = struct.unpack_from("!HH", message, end)
        udp_bytes = _udp_bytes(message, end + 4) if additional else None
    except (struct.error, IndexError, ValueError):
        raise Malformed(_bare(number, flags, FORMERR)) from None
    question = Question(number, flags, message[HEADER.size : end + 4], name, kind, udp_bytes)
    if klass != IN:
        raise Malformed(reply(question, REFUSED))
    return question


def reply(
    question: Question, code: int, answers: Sequence[bytes] = (), *, ttl_s: int = 0, limit: int = MESSAGE_BYTES_MAX
) -> bytes:
    """Write the answer: `answers` are the data of records of the asked name, addresses or, for PTR, `encode`d names. What is
    longer than `limit` goes out without them and marked as truncated, so that the client asks again over TCP."""
    kind = question.kind
    if kind == ANY:
        kind = AAAA if answers and len(answers[0]) == 16 else A
    records = b"".join(
        struct.pack("!HHHIH", 0xC000 | HEADER.size, kind, IN, ttl_s, len(data)) + data for data in answers
    )
    flags = QR | RA | (question.flags & (RD | CD)) | code
    if code in (NOERROR, NXDOMAIN):
        flags |= AA
    options = b"\0" + struct.pack("!HHIH", OPT, EDNS_UDP_BYTES, 0, 0) if question.edns else b""
    count = len(answers)
    if HEADER.size + len(question.raw) + len(records) + len(options) > limit:
        records, count, flags = b"", 0, flags | TC
    return HEADER.pack(question.id, flags, 1, count, 0, int(question.edns)) + question.raw + records + options


def truncated(question: Question) -> bytes:
    """Write an answer that says only: ask again over TCP."""
    return HEADER.pack(question.id, QR | RA | TC | (question.flags & RD), 1, 0, 0, 0) + question.raw


def encode(name: str) -> bytes:
    """Write a name of plain labels."""
    return (
        b"".join(bytes([len(label)]) + label for label in name.encode("latin-1", "replace").split(b".") if label)
        + b"\0"
    )


def reverse_address(name: str) -> bytes | None:
    """The address that a name below in-addr.arpa or ip6.arpa (RFC 3596, 2.5) stands for."""
    if name.endswith(".ip6.arpa"):
        digits = name.removesuffix(".ip6.arpa").split(".")
        if len(digits) != 32 or not all(len(digit) == 1 and digit in "0123456789abcdef" for digit in digits):
            return None
        return bytes.fromhex("".join(reversed(digits)))
    if not name.endswith(".in-addr.arpa"):
        return None
    try:
        parts = [int(part) for part in name.removesuffix(".in-addr.arpa").split(".")]
        return bytes(reversed(parts)) if len(parts) == 4 else None
    except ValueError:
        return None


def answers(message: bytes, question: bytes) -> bool:
    """Whether a server's message is an answer to the question with these bytes; the caller compares the id."""
    if len(message) < HEADER.size + len(question):
        return False
    _, flags, questions, _, _, _ = HEADER.unpack_from(message)
    return bool(flags & QR) and questions == 1 and message[HEADER.size : HEADER.size + len(question)] == question


def _bare(number: int, flags: int, code: int) -> bytes:
    return HEADER.pack(number, QR | RA | (flags & (OPCODE_MASK | RD)) | code, 0, 0, 0, 0)


def _name(message: bytes, offset: int) -> tuple[str, int]:
    """Read an uncompressed name (a question has nothing before it to point to)."""
    labels = []
    start = offset
    while length := message[offset]:
        if length > 63 or offset + length + 2 - start > NAME_BYTES_MAX:
            raise ValueError("no name")
        label = message[offset + 1 : offset + 1 + length]
        labels.append(label.lower().replace(b"\\", b"\\\\").replace(b".", b"\\."))
        offset += 1 + length
    return b".".join(labels).decode("latin-1"), offset + 1


def _udp_bytes(message: bytes, offset: int) -> int | None:
    """What an OPT record right after the question says about the size of answers."""
    if message[offset] != 0:
        return None
    kind, size = struct.unpack_from("!HH", message, offset + 1)
    return size if kind == OPT else None
