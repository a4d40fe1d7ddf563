"""What the words of `corral cp` mean, before anything is copied."""

import pytest
from fake_lab import TWO, Lab

from orchestrator.commands import cp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web:/etc", ("web", "/etc")),
        ("web:etc", ("web", "etc")),
        ("web:", ("web", "/")),
        ("web:a:b", ("web", "a:b")),
        ("./web:etc", ("", "./web:etc")),
        ("/tmp/a:b", ("", "/tmp/a:b")),
        ("-", ("", "-")),
        ("file", ("", "file")),
        (":x", ("", ":x")),
    ],
)
def test_which_is_a_service(text: str, expected: tuple[str, str]) -> None:
    assert cp.parted(text) == expected


def test_what_the_engine_says_is_said(lab: Lab) -> None:
    lab.write(TWO)
    assert "no project demo is up" in lab.corral("cp", "web:/x", ".", code=1)[1]
    lab.corral("up", "-d")
    assert "no such service: nosuch" in lab.corral("cp", "nosuch:/x", ".", code=1)[1]
    assert "cannot copy /x of" in lab.corral("cp", "web:/x", ".", code=1)[1]
    assert "give one of them" in lab.corral("cp", "--index", "1", "--all", "compose.yaml", "web:/x", code=1)[1]
