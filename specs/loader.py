"""From files to a canonical document, with the place of everything in it. Runs in the command line, with the caller's
rights, and imports nothing that is slow to import: no pydantic, and named tuples in place of dataclasses, whose module
alone costs a quarter of the whole.

    find the files, read the variables                     surroundings
    each document:  read with places                       reading, source, scalars
                    fill in variables                      interpolation
                    check kinds and keys                   shapes, keys
                    spell out short forms                  short_forms
                    lay it over what it extends            extension
                    bring in what it includes              inclusion
                    lay it over those before it            merge
    then:           canonical values                       canonical, values, folds
                    active services only                   selection

What Compose calls canonical, which `config` prints, is made of the same in `normal`.

What is wrong is left out and the rest looked at, so that all errors come together; only what is no YAML ends it before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from specs import (
    canonical,
    composition,
    contents,
    interpolation,
    keys,
    node,
    reading,
    selection,
    settled,
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
    return finish(prepare(options))


class Prepared(NamedTuple):
    """All files in one document, spelled out, as far as it is right, and what was found on the way. `variables`: the shell's,
    the env files', the project's name."""

    options: LoadOptions
    around: surroundings.Surroundings
    document: Node
    project_name: str
    variables: dict[str, str]
    findings: Findings

    @property
    def says_ours(self) -> bool:
        """Whether it says x-corral anywhere: it is written for corral then."""
        below = [entry for section in self.document.mapping().values() for entry in section.mapping().values()]
        return any("x-corral" in each.mapping() for each in (self.document, *below))

    def context(self) -> Context:
        """With findings of its own, which begin with what was found so far."""
        findings = Findings()
        findings.errors += self.findings.errors
        findings.notes += self.findings.notes
        findings.next_step()
        options = self.options
        profiles = surroundings.profiles(options.profiles, self.variables)
        inactive = selection.inactive(self.document, profiles, options.services)
        more = (options.any_image, options.scale, inactive)
        return Context(self.project_name, self.around.directory, self.variables, findings, *more)


def prepare(options: LoadOptions, *, fill_in: bool = True) -> Prepared:
    """The files made one. `fill_in` False: variables stay as they are written. Raises SpecErrors where one is no YAML."""
    cwd = options.cwd or os.getcwd()
    environment = os.environ if options.environment is None else options.environment
    around = surroundings.look(
        surroundings.Given(cwd, environment, options.files, options.project_directory, options.env_files)
    )
    findings = Findings()
    findings.notes += around.notes
    files = [*zip(around.files, reading.documents(around.files, cwd), strict=True)]
    documents = [document for _, found in files for document in found]
    name = surroundings.project_name(options.project_name, _written_name(documents, around.variables), around)
    variables = {**around.variables, "COMPOSE_PROJECT_NAME": name}
    one = composition.Project(around.directory, variables, cwd, findings, fill_in)
    return Prepared(options, around, one.merged(files), name, variables, findings)


def finish(prepared: Prepared) -> Loaded:
    """The canonical document. Raises SpecErrors."""
    options, around, context = prepared.options, prepared.around, prepared.context()
    findings = context.findings
    supported = settled.supported(prepared.document, keys.DOCUMENT, findings)
    findings.next_step()
    full = canonical.canonical(supported, context)
    findings.raise_errors()
    profiles = surroundings.profiles(options.profiles, prepared.variables)
    root, disabled = selection.select(full, profiles, options.services, findings)
    findings.raise_errors()
    root = contents.read(root, context)
    findings.raise_errors()
    plain: Any = node.plain(root)
    name = prepared.project_name
    return Loaded(plain, name, around.directory, around.files, profiles, disabled, tuple(findings.notes), root)


def _written_name(documents: list[Node], variables: Mapping[str, str]) -> str:
    """The name that the last document with one gives to the project."""
    name = ""
    for document in documents:
        written = document.get("name")
        if written is not None and isinstance(written.value, str):
            found = interpolation.interpolate(written, variables, Findings())
            name = str(found.value) or name
    return name
