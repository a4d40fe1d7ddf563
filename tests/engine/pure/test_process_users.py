"""A spec's `user`, looked up in an image's passwd and group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.process import users

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment:x:5:5::/:/bin/sh
ann:x:1000:1001:Ann:/home/ann:/bin/sh
nohome:x:7:8:::/bin/sh
short:x:9
huge:x:4294967295:0::/:/bin/sh
minus:x:-1:0::/:/bin/sh
123:x:55:55::/digits:/bin/sh
ann:x:2000:2001:the second of this name:/other:/bin/sh
b\xfcrger:x:1500:1500::/home/b\xfcrger:/bin/sh
"""
GROUP = b"""root:x:0:
ann:x:1001:
wheel:x:10:ann,root
audio:x:29:other,ann
broken:x:30
twice:x:1001:ann
"""


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("", users.User(0, 0, (0, 10), "/root")),
        ("root", users.User(0, 0, (0, 10), "/root")),
        ("ann", users.User(1000, 1001, (1001, 10, 29), "/home/ann")),
        ("1000", users.User(1000, 1001, (1001, 10, 29), "/home/ann")),
        ("ann:wheel", users.User(1000, 10, (10,), "/home/ann")),
        ("ann:4294967294", users.User(1000, 4294967294, (4294967294,), "/home/ann")),
        ("4242", users.User(4242, 0, (0,), "/")),
        ("4294967294:7", users.User(4294967294, 7, (7,), "/")),
        ("007", users.User(7, 8, (8,), "/")),
        (":10", users.User(0, 10, (10,), "/root")),
        ("123", users.User(123, 0, (0,), "/")),  # a number is an id, whatever the names are
        ("b\udcfcrger", users.User(1500, 1500, (1500,), "/home/b\udcfcrger")),
    ],
)
def test_found(user: str, found: users.User) -> None:
    assert users.find(user, PASSWD, GROUP) == found


@pytest.mark.parametrize(
    "user",
    [
        *(
            "nobody",
            "-1",
            " 0",
            "0 ",
            "+0",
            "1:",
            ":",
            "a:b:c",
            "ann:none",
            "4294967295",
            "2147483648000",
            "0:4294967295",
        ),
        *("huge", "minus", "short", "\u0661", "0x0", "1e3", "ann\n", "# a comment", "ann:-1"),
    ],
)
def test_refused(user: str) -> None:
    with pytest.raises(users.UserError):
        users.find(user, PASSWD, GROUP)


@given(st.text(max_size=20), st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_the_files_say_the_ids_are_in_range(user: str, passwd: bytes, group: bytes) -> None:
    try:
        found = users.find(user, passwd, group)
    except users.UserError:
        return
    for number in (found.uid, found.gid, *found.groups):
        assert 0 <= number <= users.ID_MAX
    assert found.gid in found.groups
