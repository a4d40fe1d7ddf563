"""Messages: they survive the way, and what is none of them is refused by field."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import encoding, errors, protocol

WORDS = st.text(max_size=8)
WAITING = st.builds(protocol.Waiting, WORDS, WORDS, WORDS, st.booleans())
CONTAINER = st.builds(
    protocol.Container,
    WORDS,
    WORDS,
    WORDS,
    WORDS,
    WORDS,
    WORDS,
    st.none() | st.integers(-(10**12), 10**12),
    WORDS,
    st.floats(0, 1e9),
    st.booleans(),
    WORDS,
    st.integers(0, 4096),
)
EVENTS = st.one_of(
    st.builds(
        protocol.Planned,
        st.lists(st.builds(protocol.Change, WORDS, WORDS, st.lists(WORDS).map(tuple))).map(tuple),
        st.lists(WAITING).map(tuple),
        st.integers(0, 10**12),
    ),
    st.builds(protocol.Begun, WORDS, WORDS, WORDS),
    st.builds(protocol.Said, WORDS, WORDS),
    st.builds(protocol.Ended, WORDS, WORDS, st.floats(0, 1e9), WORDS),
    st.builds(protocol.Containers, st.lists(CONTAINER).map(tuple), st.booleans()),
    st.builds(protocol.Note, WORDS),
    st.builds(protocol.Settled, st.integers(0, 1), st.lists(WAITING).map(tuple), st.lists(WORDS).map(tuple)),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # the machine may be busy
@given(EVENTS)
def test_every_event_is_one_line_and_comes_back_equal(event: protocol.Event) -> None:
    line = encoding.line_of(event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert encoding.event_of(line) == event


@pytest.mark.parametrize(
    "request_",
    [
        protocol.Up({"name": "p", "services": {}}, ("/a",), ("web",), {"web": 2}, wait=True, wait_timeout_s=1.5),
        protocol.Down(volumes=True, timeout_s=0.0),
        protocol.Stop(("a", "b"), 3.0),
        protocol.Start(("a",), True, 3.0),
        protocol.Kill(("a",), "HUP"),
        protocol.Exec("web", ("sh", "-c", "x"), 2, ("A=1",), "root", None, True),
        protocol.Status("1", 2, "/r", "/u", 3.0, 4),
    ],
)
def test_every_request_comes_back_equal(request_: Any) -> None:
    assert encoding.parse(type(request_), json.loads(json.dumps(encoding.to_json(request_)))) == request_


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (protocol.Up, None, "it is not a mapping"),
        (protocol.Up, {"files": []}, "missing: document"),
        (protocol.Up, {"document": [], "files": []}, "document: not dict"),
        (protocol.Up, {"document": {}, "files": "x"}, "files: not list"),
        (protocol.Up, {"document": {}, "files": [1]}, "files: not str"),
        (protocol.Up, {"document": {}, "files": [], "scale": {"a": "2"}}, "scale: not whole numbers"),
        (protocol.Up, {"document": {}, "files": [], "scale": {"a": True}}, "scale: not whole numbers"),
        (protocol.Up, {"document": {}, "files": [], "wait": 1}, "wait: not bool"),
        (protocol.Up, {"document": {}, "files": [], "wait_timeout_s": True}, "wait_timeout_s: not int or float"),
        (protocol.Down, {"volumes": False, "sudo": True}, "unknown: sudo"),
        (protocol.Exec, {"service": "a", "argv": [], "number": 1.5}, "number: not int"),
    ],
)
def test_what_is_no_request_is_refused_by_field(kind: type[Any], data: object, said: str) -> None:
    with pytest.raises(errors.Invalid, match=said):
        encoding.parse(kind, data)


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"3", b"{}", b'{"event":"nosuch"}', b'{"event":3}', b'{"event":"begun"}']
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(errors.Invalid):
        encoding.event_of(line)


def test_every_kind_of_field_has_a_shape() -> None:
    requests = (
        protocol.Up,
        protocol.Down,
        protocol.Stop,
        protocol.Start,
        protocol.Kill,
        protocol.Exec,
        protocol.Status,
    )
    parts = (protocol.Change, protocol.Waiting, protocol.Container)
    for kind in (*requests, *parts, *encoding.EVENTS.values()):
        assert set(kind.__annotations__.values()) <= set(encoding.SHAPES), kind


def test_errors_cross_the_socket_as_what_they_are() -> None:
    problem = errors.Problem(("services", "web", "ports", 0), "taken", "use another")
    for kind in (errors.Refused, errors.NotFound, errors.Invalid):
        back = errors.from_json(json.loads(json.dumps(errors.as_json(kind("no", hint="so", problems=[problem])))))
        assert type(back) is kind
        assert (back.message, back.hint, back.problems) == ("no", "so", (problem,))
    assert type(errors.from_json({"kind": "from the future", "message": "no"})) is errors.Refused
