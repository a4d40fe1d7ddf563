"""Asking and answering DNS questions, by hand (RFC 1035): what our dns process says is read by nothing of ours."""

import ipaddress
import secrets
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.machine import Place, family_of

A, PTR, TXT, AAAA, ANY = 1, 12, 16, 28, 255
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


@dataclass(frozen=True)
class Answer:
    code: int
    records: tuple[str, ...]
    ttls: tuple[int, ...] = ()


def ask(place: Place, name: str, kind: int = A, *, server: str, tcp: bool = False, timeout: float = 5.0) -> Answer:
    """Ask `server` from `place`, once. Raises OSError."""
    number = secrets.randbelow(1 << 16)
    question = struct.pack("!6H", number, 0x100, 1, 0, 0, 0) + encode(name) + struct.pack("!2H", kind, 1)
    family, how = family_of(server), socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with place.inside(), socket.socket(family, how) as caller:
        caller.settimeout(timeout)
        caller.connect((server, 53))
        if not tcp:
            caller.send(question)
            said = caller.recv(65535)
        else:
            caller.sendall(len(question).to_bytes(2, "big") + question)
            with caller.makefile("rb") as stream:
                said = stream.read(int.from_bytes(stream.read(2), "big"))
    assert said[:2] == question[:2], "the answer is to another question"
    return _read(said)


def reverse(place: Place, address: str, *, server: str) -> tuple[str, ...]:
    name = ipaddress.ip_address(address).reverse_pointer
    return ask(place, name, PTR, server=server).records


def encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


def answering(records: Mapping[str, str], seen: list[str] | None = None) -> "Answering":
    return Answering(records, [] if seen is None else seen)


@dataclass
class Answering:
    """A resolver of the outside world: knows these names, and notes what it is asked."""

    records: Mapping[str, str]
    seen: list[str]

    def __call__(self, question: bytes) -> bytes | None:
        name, end = _name(question, 12)
        self.seen.append(name)
        address = self.records.get(name.lower())
        is_a = struct.unpack_from("!H", question, end)[0] == A
        head = question[:2] + struct.pack("!5H", 0x8180 if address else 0x8183, 1, bool(address) and is_a, 0, 0)
        record = (
            b"\xc0\x0c" + struct.pack("!2HIH", A, 1, 60, 4) + socket.inet_aton(address) if address and is_a else b""
        )
        return head + question[12 : end + 4] + record


def _read(message: bytes) -> Answer:
    _, flags, questions, answers, _, _ = struct.unpack_from("!6H", message)
    at = 12
    for _ in range(questions):
        at = _name(message, at)[1] + 4
    records, ttls = [], []
    for _ in range(answers):
        at = _name(message, at)[1]
        kind, _, ttl, length = struct.unpack_from("!2HIH", message, at)
        at += 10
        data = message[at : at + length]
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
        text = _name(message, at)[0] if kind == PTR else data.hex()
        records.append(socket.inet_ntop(family, data) if family else text)
        ttls.append(ttl)
        at += length
    return Answer(flags & 15, tuple(records), tuple(ttls))


def _name(message: bytes, at: int) -> tuple[str, int]:
    labels, end = [], 0
    while length := message[at]:
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
        else:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
    return ".".join(labels), end or at + 1
