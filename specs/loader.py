"""From files to a canonical document, with the place of everything in it. Runs in the command line, with the caller's
rights, and imports nothing that is slow to import: no pydantic, and named tuples in place of dataclasses, whose module
alone costs a quarter of the whole.

    find the files, read the variables                     surroundings
    each document:  read with places                       source, scalars
                    fill in variables                      interpolation
                    check kinds and keys                   shapes, keys
                    spell out short forms                  short_forms
                    lay it over those before it            merge
    then:           canonical values                       canonical, values, folds
                    active services only                   selection

What is wrong is left out and the rest looked at, so that all errors come together; only what is no YAML ends it before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from specs import (
    canonical,
    contents,
    errors,
    interpolation,
    keys,
    merge,
    node,
    replicas,
    scalars,
    selection,
    shapes,
    short_forms,
    source,
    surroundings,
)
from specs.context import Context
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, Place


class LoadOptions(NamedTuple):
    """What the command line says. `files` may hold "-", standard input. `services` are those that were named: their
    profiles become active. `any_image`: also images that cannot be run yet. `environment` and `cwd`: by default those of
    this process. `scale`: of so many replicas it is said what each is, where that is more than the files ask for."""

    files: tuple[str, ...] = ()
    project_name: str = ""
    project_directory: str = ""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    any_image: bool = False
    environment: Mapping[str, str] | None = None
    cwd: str = ""
    scale: Mapping[str, int] = MappingProxyType({})


class Loaded(NamedTuple):
    """`canonical` is what `validate.project` takes. `files` are absolute. `disabled`: services of inactive profiles.
    `notes`: what the user should know."""

    canonical: dict[str, Any]
    project_name: str
    project_directory: str
    files: tuple[str, ...]
    profiles: tuple[str, ...]
    disabled: tuple[str, ...]
    notes: tuple[str, ...]
    root: Node

    @property
    def positions(self) -> dict[Path, Place]:
        """File, line and column of every path in `canonical`."""
        return dict(node.places(self.root))

    def locate(self, path: Path) -> Place | None:
        """File, line and column of the path, or of its nearest parent that was written; None for the whole document."""
        place = node.place_of(self.root, path)
        return place if path and place[0] else None


def load(options: LoadOptions) -> Loaded:
    """The canonical document of the files. Raises SpecErrors."""
    cwd = options.cwd or os.getcwd()
    environment = os.environ if options.environment is None else options.environment
    around = surroundings.look(
        surroundings.Given(cwd, environment, options.files, options.project_directory, options.env_files)
    )
    findings = Findings()
    findings.notes += around.notes
    documents = _read(around.files, cwd, findings)
    name = surroundings.project_name(options.project_name, _written_name(documents, around.variables), around)
    variables = {**around.variables, "COMPOSE_PROJECT_NAME": name}
    merged = _merged(documents, variables, findings)
    context = Context(name, around.directory, variables, findings, options.any_image, options.scale)
    full = canonical.canonical(merged, context)
    findings.raise_errors()
    profiles = surroundings.profiles(options.profiles, variables)
    root, disabled = selection.select(full, profiles, options.services, findings)
    findings.raise_errors()
    root = contents.read(root, context)
    findings.raise_errors()
    plain: Any = node.plain(root)
    return Loaded(plain, name, around.directory, around.files, profiles, disabled, tuple(findings.notes), root)


def _read(files: tuple[str, ...], cwd: str, findings: Findings) -> list[Node]:
    documents: list[Node] = []
    for file in files:
        shown = "stdin" if file == surroundings.STDIN else surroundings.shown(file, cwd)
        try:
            found = source.documents(_text(file, shown), shown)
        except errors.SpecErrors as error:
            findings.errors += error.errors
            continue
        if not found:
            findings.errors.append(errors.SpecError((), "the file is empty", shown, 1, 1))
        documents += found
    for document in documents:
        if not isinstance(document.value, dict):
            kind = scalars.kind_of(document.value)
            findings.error(document, (), f"a compose file is a mapping, this is {kind}")
    findings.raise_errors()
    return documents


def _text(file: str, shown: str) -> str:
    if file == surroundings.STDIN:
        return sys.stdin.read()
    try:
        with open(file, "rb") as stream:
            content = stream.read()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise errors.SpecErrors([errors.SpecError((), f"cannot be read: {error.strerror}", shown)]) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise errors.SpecErrors([errors.SpecError((), "this is not UTF-8", shown, line, 1)]) from error


def _written_name(documents: list[Node], variables: Mapping[str, str]) -> str:
    """The name that the last document with one gives to the project."""
    name = ""
    for document in documents:
        written = document.get("name")
        if written is not None and isinstance(written.value, str):
            found = interpolation.interpolate(written, variables, Findings())
            name = str(found.value) or name
    return name


def _merged(documents: list[Node], variables: Mapping[str, str], findings: Findings) -> Node:
    """All documents in one, without what is wrong in them."""
    empty: dict[str, Node] = {}
    base = documents[0].with_value(empty)
    ready: list[tuple[Node, list[Path]]] = []
    for document in documents:
        written, dropped = merge.without_resets(document)
        replicas.refuse_resets(document, dropped, findings)
        filled = interpolation.interpolate(written, variables, findings)
        findings.next_step()
        fitting = shapes.fit(filled, keys.DOCUMENT, findings)
        if (version := fitting.get("version")) is not None:
            findings.note(version, ("version",), "has no meaning any more and can be removed")
        findings.next_step()
        ready.append((short_forms.spell_out(fitting, findings), dropped))
    findings.next_step()
    for document, dropped in ready:
        base = merge.merge(base, document, dropped)
    return base
