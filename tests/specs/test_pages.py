"""Pages of a service: `x-corral.pages`, as canonical text, and as a port with a path."""

from typing import Any

import pytest

from specs.canonical import pages
from specs.normal import render


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", pages.Page(80)),
        ("65535/", pages.Page(65535)),
        ("19888/jobhistory", pages.Page(19888, "jobhistory")),
        ("8080/a/b?c=%20#d", pages.Page(8080, "a/b?c=%20#d")),
    ],
)
def test_a_page_is_a_port_and_a_path(text: str, expected: pages.Page) -> None:
    assert pages.parse(text) == expected


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+1", "x", "/x", "80 ", "80/a b", "80/ä", "80/\x1b[2J", "٨٠"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        pages.parse(text)


def test_titles_keep_their_order_and_later_files_win_by_title(folder: Any) -> None:
    said = "x-corral: {pages: {NameNode: 9870, 'Job history': 19888/jobhistory, Third: '$PORT/x'}}"
    service = folder.service(said, environment={"PORT": "7"})
    assert list(service["x-corral"]["pages"].items()) == [
        ("NameNode", "9870"),
        ("Job history", "19888/jobhistory"),
        ("Third", "7/x"),
    ]


def test_what_config_writes_reads_back_the_same(folder: Any) -> None:
    before = folder.load("services: {a: {image: host, x-corral: {pages: {No: 80/$$x}}}}")
    assert folder.load(render.text(folder.normal().document)).canonical == before.canonical


def test_nothing_said_is_nothing(folder: Any) -> None:
    assert "x-corral" not in folder.service("x-corral: {}")
    assert "x-corral" not in folder.service("x-corral: {pages: {}}")
