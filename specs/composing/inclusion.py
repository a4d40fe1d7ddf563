"""`include`: other projects brought into a document. Each has its own directory and its own variables; what the document itself
says is laid over what they say (compose-go loader/include.go)."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import Protocol

from specs import local_files
from specs.composing import extension, merge
from specs.errors import Path, SpecError, SpecErrors
from specs.files import surroundings
from specs.findings import Findings
from specs.history import History
from specs.node import Node, text_of

FILES_MOST = 1000
"""Each as often as it is included."""
SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")


class Includer(Protocol):
    """The project whose document includes others. `included_files`: by it and by all around it, so far."""

    findings: Findings
    variables: Mapping[str, str]
    history: History | None
    included_files: list[str]

    def absolute(self, path: str) -> str: ...

    def included(
        self, files: Sequence[str], directory: str, variables: Mapping[str, str], trail: tuple[str, ...]
    ) -> Node:
        """The other project, with absolute paths. Raises SpecErrors."""


def joined(document: Node, project: Includer, trail: tuple[str, ...]) -> Node:
    """The document with all that it includes. `trail`: the files down to this one."""
    said = document.mapping().get("include")
    if said is None:
        return document
    own = {key: child for key, child in document.mapping().items() if key != "include"}
    for index, item in enumerate(said.sequence()):
        try:
            other = _other(item, ("include", index), project, trail)
        except SpecErrors as error:
            found = [each if each.line else _here(each, item, ("include", index)) for each in error.errors]
            project.findings.errors += [each for each in found if each not in project.findings.errors]
            continue
        if other is not None:
            _bring(own, other)
    return document.with_value(own)


def _here(error: SpecError, item: Node, path: Path) -> SpecError:
    return SpecError(path, f"{error.file}: {error.message}" if error.file else error.message, *item.place)


def _bring(own: dict[str, Node], other: Node) -> None:
    for section in SECTIONS:
        found = other.get(section)
        if found is None:
            continue
        entries = dict(own[section].mapping()) if section in own else {}
        for name, node in found.mapping().items():
            entries[name] = merge.entry(section, name, node, entries[name]) if name in entries else node
        own[section] = own.get(section, found).with_value(entries)


def _other(item: Node, path: Path, project: Includer, trail: tuple[str, ...]) -> Node | None:
    files = _texts(item if isinstance(item.value, str) else item.get("path"))
    if not files or "" in files:
        project.findings.error(item, path, "path is missing")
        return None
    if remote := next((file for file in files if extension.is_remote(file)), ""):
        project.findings.error(item, path, f"'{remote}' is not fetched: files of this machine only")
        return None
    paths = [project.absolute(file) for file in files]
    if again := next((each for each in paths if each in trail), ""):
        project.findings.error(item, path, f"a cycle: {' → '.join((*trail[trail.index(again) :], again))}")
        return None
    project.included_files += paths
    if len(project.included_files) > FILES_MOST:
        project.findings.error(item, path, f"more than {FILES_MOST} files are included")
        return None
    given = text_of(item, "project_directory")
    directory = project.absolute(given) if given else posixpath.dirname(paths[0])
    return project.included(paths, directory, _variables(item, path, directory, project), trail)


def _variables(item: Node, path: Path, directory: str, project: Includer) -> dict[str, str]:
    """This project's variables, which win, and those of the other's env files."""
    listed = [project.absolute(file) for file in _texts(item.get("env_file"))]
    default = os.path.join(directory, ".env")
    files = listed or ([default] if local_files.is_file(default) else [])
    if project.history is not None:
        project.history.env_files += files
    found: dict[str, str] = {}
    for file in files:
        try:
            found |= surroundings.read_env_file(file, {**found, **project.variables})
        except SpecErrors as error:
            place = item.get("env_file") or item
            raise SpecErrors(
                [SpecError((*path, "env_file"), each.message, *place.place) for each in error.errors]
            ) from error
    return {**found, **project.variables}


def _texts(node: Node | None) -> list[str]:
    if node is None:
        return []
    return [str(item.value) for item in node.sequence()] if isinstance(node.value, list) else [str(node.value)]
