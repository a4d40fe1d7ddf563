"""Relative paths of a document, spelled out, made absolute: they begin in the directory of the project that says them
(compose-go paths/resolve.go)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

from specs.node import Node, text_of
from specs.patterns import pattern

_URL = pattern(r"[a-z][a-z0-9+.-]*://|git@|github\.com/|docker-image:|oci-layout:|service:|target:", re.ASCII)
_DRIVE = pattern(r"[a-zA-Z]:[\\/]|\\\\")
Change = Callable[[Node], Node]


def resolved(
    document: Node, directory: str, variables: Mapping[str, str] | None = None, home: str = "", *, is_whole: bool = True
) -> Node:
    """The document with absolute paths. `variables`: those that the values of variables without one are looked up in, too.
    `home`: what ~ stands for; "": it stays. `is_whole`: of a project; what is built is built in its directory, unless said
    otherwise."""
    walk = _Walk(directory, variables, home, is_whole)
    sections: dict[str, Change] = {
        "services": walk.service,
        "volumes": walk.volume,
        "configs": walk.content,
        "secrets": walk.content,
    }
    found = dict(document.mapping())
    for section, change in sections.items():
        if (entries := document.get(section)) is not None:
            found[section] = entries.with_value({name: change(node) for name, node in entries.mapping().items()})
    return document.with_value(found)


class _Walk:
    def __init__(self, directory: str, variables: Mapping[str, str] | None, home: str, is_whole: bool) -> None:
        self.directory = directory
        self.is_whole = is_whole
        self.home = home
        self.variables = variables

    def service(self, node: Node) -> Node:
        return _changed(
            node,
            {
                "build": self.build,
                "env_file": self.each(lambda item: _changed(item, {"path": self.path})),
                "label_file": self.each(self.path),
                "volumes": self.each(self.mount),
                "image": self.image,
                "environment": self.environment,
                "extends": lambda said: _changed(said, {"file": self.path}),
                "develop": lambda said: _changed(
                    said, {"watch": self.each(lambda item: _changed(item, {"path": self.path}))}
                ),
            },
        )

    def build(self, node: Node) -> Node:
        if self.is_whole and isinstance(node.value, dict):
            node = node.with_value({"context": node.with_value("."), **node.value})
        return _changed(node, {"context": self.context, "additional_contexts": self.contexts})

    def contexts(self, node: Node) -> Node:
        return node.with_value({name: self.context(child) for name, child in node.mapping().items()})

    def context(self, node: Node) -> Node:
        return node if "://" in str(node.value) or _URL.match(str(node.value)) else self.path(node)

    def mount(self, node: Node) -> Node:
        return _changed(node, {"source": self.place}) if text_of(node, "type") == "bind" else node

    def volume(self, node: Node) -> Node:
        options = node.get("driver_opts")
        if (
            options is None
            or text_of(node, "driver") not in ("", "local")
            or text_of(options, "type") != "none"
            or text_of(options, "o") != "bind"
        ):
            return node
        return _changed(node, {"driver_opts": lambda said: _changed(said, {"device": self.place})})

    def place(self, node: Node) -> Node:
        """Also where nothing is said, which is the directory itself."""
        return node.with_value(self.absolute(str(node.value)))

    def content(self, node: Node) -> Node:
        return _changed(node, {"file": self.place})

    def image(self, node: Node) -> Node:
        """What is a folder is one of the file's."""
        scheme, _, folder = str(node.value).partition("rootfs:")
        return node if scheme or not folder else node.with_value("rootfs:" + self.absolute(folder))

    def environment(self, node: Node) -> Node:
        variables = self.variables or {}
        return node.with_value(
            {
                name: child.with_value(variables[name]) if child.value is None and name in variables else child
                for name, child in node.mapping().items()
            }
        )

    def each(self, change: Change) -> Change:
        return lambda node: node.with_value([change(item) for item in node.sequence()])

    def path(self, node: Node) -> Node:
        return node.with_value(self.absolute(node.value)) if isinstance(node.value, str) and node.value else node

    def absolute(self, path: str) -> str:
        if path == "~" or path.startswith("~/"):
            return posixpath.normpath(self.home + path[1:]) if self.home else path
        return (
            path
            if path.startswith("/") or _DRIVE.match(path)
            else posixpath.normpath(posixpath.join(self.directory, path))
        )


def _changed(node: Node, changes: Mapping[str, Change]) -> Node:
    if not isinstance(node.value, dict):
        return node
    found = {
        key: changes[key](child) if key in changes and child.value is not None else child
        for key, child in node.value.items()
    }
    return node.with_value(found)
