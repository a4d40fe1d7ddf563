"""Which capabilities `cap_add` and `cap_drop` leave: the cases of moby's TweakCapabilities."""

import pytest

from engine.process import capabilities as engines
from specs.canonical import capabilities

DEFAULT = ("CHOWN", "KILL", "NET_RAW")
EVERY = tuple(sorted(capabilities.NAMES))


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), DEFAULT),
        (("SYS_TIME",), (), ("CHOWN", "KILL", "NET_RAW", "SYS_TIME")),
        ((), ("KILL", "SYS_TIME"), ("CHOWN", "NET_RAW")),
        (("KILL",), ("KILL",), DEFAULT),
        ((), ("ALL",), ()),
        (("SYS_TIME", "KILL"), ("ALL",), ("KILL", "SYS_TIME")),
        (("ALL",), (), EVERY),
        (("ALL",), ("KILL",), tuple(name for name in EVERY if name != "KILL")),
    ],
)
def test_what_is_left(add: tuple[str, ...], drop: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert capabilities.selected(DEFAULT, add, drop) == expected


def test_both_floors_know_the_same_names() -> None:
    assert capabilities.NAMES == engines.NAMES
