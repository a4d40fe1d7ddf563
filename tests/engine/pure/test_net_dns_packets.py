"""DNS messages: what is read and written, byte by byte, and that garbage is survived."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dns import packets


def question(name: bytes, kind: int = 1, *, flags: int = 0x0100, edns: int | None = None) -> bytes:
    labels = b"".join(bytes([len(label)]) + label for label in name.split(b".") if label) + b"\0"
    option = b"" if edns is None else b"\0" + struct.pack("!HHIH", 41, edns, 0, 0)
    head = struct.pack("!HHHHHH", 0x1234, flags, 1, 0, 0, int(edns is not None))
    return head + labels + struct.pack("!HH", kind, 1) + option


def test_an_address_is_answered_in_the_askers_own_letters() -> None:
    asked = packets.parse(question(b"WeB.Lab"))
    assert asked.name == "web.lab"
    answer = packets.reply(asked, packets.NOERROR, [bytes([10, 0, 0, 2])], ttl_s=5)
    assert answer == (
        b"\x12\x34\x85\x80\0\x01\0\x01\0\0\0\0"  # same id; answer, authoritative, recursion asked and available
        b"\x03WeB\x03Lab\0\0\x01\0\x01"
        b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x02"
    )


def test_nothing_is_said_of_a_type_that_is_not_there() -> None:
    answer = packets.reply(packets.parse(question(b"web", 28)), packets.NOERROR)
    assert answer[2:12] == b"\x85\x80\0\x01\0\0\0\0\0\0"


@pytest.mark.parametrize(("edns", "fits"), [(None, 28), (512, 28), (1232, 72), (65535, 72)])
def test_what_is_too_long_for_the_client_is_marked_as_truncated(edns: int | None, fits: int) -> None:
    asked = packets.parse(question(b"web.lab", edns=edns))
    assert asked.limit == (512 if edns in (None, 512) else 1232)
    for count in (fits, fits + 10):
        answer = packets.reply(asked, 0, [bytes(4)] * count, limit=asked.limit)
        assert len(answer) <= asked.limit
        assert bool(answer[2] & 2) is (count > fits)
        assert int.from_bytes(answer[6:8], "big") == (count if count == fits else 0)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", None),
        (b"\0" * 11, None),
        (question(b"web", flags=0x8100), None),  # an answer
        (question(b"web", flags=0x2800), packets.NOTIMP),  # an update
        (struct.pack("!HHHHHH", 1, 0, 0, 0, 0, 0), packets.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 2, 0, 0, 0), packets.FORMERR),
        (question(b"web")[:-1], packets.FORMERR),
        (question(b"web")[:12] + b"\xc0\x0c\0\x01\0\x01", packets.FORMERR),  # a name that points to itself
        (question(b".".join([b"a" * 60] * 5)), packets.FORMERR),  # longer than a name may be
        (question(b"web")[:-2] + b"\0\x03", packets.REFUSED),  # class CHAOS
    ],
)
def test_what_is_no_question(message: bytes, code: int | None) -> None:
    with pytest.raises(packets.Malformed) as caught:
        packets.parse(message)
    assert (caught.value.reply[3] & 15 if caught.value.reply else None) == code


def test_a_dot_inside_a_label_is_no_dot() -> None:
    message = question(b"")[:12] + b"\x07web.lab\0\0\x01\0\x01"
    assert packets.parse(message).name == "web\\.lab"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("2.0.10.10.in-addr.arpa", bytes([10, 10, 0, 2])),
        ("0.10.10.in-addr.arpa", None),
        ("x.1.2.3.in-addr.arpa", None),
        ("256.1.2.3.in-addr.arpa", None),
        ("web", None),
        ("in-addr.arpa", None),
    ],
)
def test_reverse_names(name: str, address: bytes | None) -> None:
    assert packets.reverse_address(name) == address


@given(st.binary(max_size=600))
def test_garbage_is_survived(data: bytes) -> None:
    with contextlib.suppress(packets.Malformed):
        asked = packets.parse(data)
        assert asked.raw in data


@given(st.binary(max_size=80))
def test_a_question_with_garbage_behind_it_is_survived(data: bytes) -> None:
    for count in range(4):
        message = bytearray(question(b"web.lab") + data)
        message[11] = count
        with contextlib.suppress(packets.Malformed):
            packets.reply(packets.parse(bytes(message)), 0, [bytes(4)], limit=512)
