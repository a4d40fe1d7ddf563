"""The pages that a service serves to browsers: `x-corral: {pages: {TITLE: PORT}}`, or "PORT/PATH"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from specs import scalars
from specs.context import Context
from specs.errors import Path, SpecError
from specs.node import Node
from specs.patterns import pattern

if TYPE_CHECKING:  # the command line reads files without pydantic
    from specs.model.project import Project

PATH = ("x-corral", "pages")
_PORT_MAX = 65535
_LOCATOR = pattern(r"[!-~]*")  # RFC 3986: what a URL is written with; the rest is percent-encoded


class Page(NamedTuple):
    """`port` is the container's; `path` has no slash in front."""

    port: int
    path: str = ""


def parse(text: str) -> Page:
    """PORT or PORT/PATH. Raises ValueError."""
    port, _, path = text.partition("/")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _PORT_MAX):
        raise ValueError(f"'{text}' is not a port (1 to {_PORT_MAX}), nor PORT/PATH")
    if not _LOCATOR.fullmatch(path):
        raise ValueError(f"'{path}' is not the path of a page: spaces, and what is not ASCII, are written as %XX")
    return Page(int(port), path)


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    """The value of each title as text. What it may be is checked where the whole project is."""
    texts: dict[str, Node] = {}
    for title, child in node.mapping().items():
        if child.value is None:
            context.findings.error(child, (*path, title), "is empty: give it a port")
        texts[title] = child.with_value(_text(child))
    return node.with_value(texts) if texts else None


def _text(node: Node) -> str:
    return "" if isinstance(node.value, dict | list) else scalars.as_text(node.value)


def problems(project: Project) -> Iterator[SpecError]:
    """Every page that is none, or that nobody could open."""
    for name, service in project.services.items():
        path = ("services", name, *PATH)
        pages = service.x_corral.pages
        for title, text in pages.items():
            if not title.strip():
                yield SpecError((*path, title), "a page needs a title")
            try:
                parse(text)
            except ValueError as error:
                yield SpecError((*path, title), str(error))
        if pages and service.network_mode == "none":
            yield SpecError(path, "no page can be opened with network_mode none")
