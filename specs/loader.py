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

from specs import node
from specs.canonical import contents, providers, selection
from specs.canonical import document as canonical_form
from specs.canonical.providers import Provider
from specs.composing import composition
from specs.context import Context
from specs.errors import Path
from specs.files import interpolation, reading, source, surroundings
from specs.findings import Findings
from specs.history import History
from specs.keys import settled
from specs.keys.document import DOCUMENT
from specs.node import Node, Place

COMMAND_LINE = "the command line"
"""Where what is laid over the files stands, for messages."""


class LoadOptions(NamedTuple):
    """What the command line says. `files` may hold "-", standard input. `services` are those that were named: their
    profiles become active. `any_image`: also images that cannot be run yet. `environment` and `cwd`: by default those of
    this process. `scale`: of so many replicas it is said what each is, where that is more than the files ask for. `over`: a
    document, as text, that is laid over the files. `all_resources`: with the networks and volumes that no service uses."""

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
    over: str = ""
    all_resources: bool = False


class Loaded(NamedTuple):
    """`canonical` is what `validate.project` takes. `files` are absolute. `disabled`: services of inactive profiles.
    `notes`: what the user should know. `providers`: services that are none in `canonical`. `variables`: the shell's, the env
    files', the project's name."""

    canonical: dict[str, Any]
    project_name: str
    project_directory: str
    files: tuple[str, ...]
    profiles: tuple[str, ...]
    disabled: tuple[str, ...]
    notes: tuple[str, ...]
    root: Node
    providers: tuple[Provider, ...] = ()
    variables: Mapping[str, str] = MappingProxyType({})

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


def prepare(options: LoadOptions, *, fill_in: bool = True, history: History | None = None) -> Prepared:
    """The files made one. `fill_in` False: variables stay as they are written. `history`: what is laid over what is noted there.
    Raises SpecErrors where one is no YAML."""
    cwd = options.cwd or os.getcwd()
    environment = os.environ if options.environment is None else options.environment
    around = surroundings.look(
        surroundings.Given(cwd, environment, options.files, options.project_directory, options.env_files)
    )
    findings = Findings()
    findings.notes += around.notes
    files = [*zip(around.files, reading.documents(around.files, cwd), strict=True)]
    if options.over:
        files.append((COMMAND_LINE, source.documents(options.over, COMMAND_LINE)))
    documents = [document for _, found in files for document in found]
    if history is not None:
        history.env_files += around.env_files
    name = surroundings.project_name(options.project_name, _written_name(documents, around.variables), around)
    variables = {**around.variables, "COMPOSE_PROJECT_NAME": name}
    one = composition.Project(around.directory, variables, cwd, findings, fill_in, history=history)
    return Prepared(options, around, one.merged(files), name, variables, findings)


def finish(prepared: Prepared) -> Loaded:
    """The canonical document. Raises SpecErrors."""
    options, around, context = prepared.options, prepared.around, prepared.context()
    findings = context.findings
    known = settled.without_extensions(prepared.document, DOCUMENT)
    full = canonical_form.canonical(known, context)
    findings.raise_errors()
    profiles = surroundings.profiles(options.profiles, prepared.variables)
    root, disabled = selection.select(full, profiles, options.services, findings, unused=options.all_resources)
    findings.raise_errors()
    root, asked = providers.taken_out(root, findings)
    root = contents.read(root, context)
    findings.raise_errors()
    plain: Any = node.plain(root)
    name = prepared.project_name
    notes = tuple(findings.notes)
    return Loaded(
        plain, name, around.directory, around.files, profiles, disabled, notes, root, asked, prepared.variables
    )


def _written_name(documents: list[Node], variables: Mapping[str, str]) -> str:
    """The name that the last document with one gives to the project."""
    name = ""
    for document in documents:
        written = document.get("name")
        if written is not None and isinstance(written.value, str):
            found = interpolation.interpolate(written, variables, Findings())
            name = str(found.value) or name
    return name
