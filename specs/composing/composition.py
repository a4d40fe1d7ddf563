"""Everything that the files of a project say, in one document: each file's documents filled in, checked, spelled out, laid over
the services that they extend, joined with the projects that they include, and over the documents before them.

A project that is included is composed likewise, with its own directory and its own variables, and its paths are made absolute.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence

from specs.composing import extension, inclusion, merge, relative, replicas, short_forms
from specs.errors import Path, SpecError, SpecErrors
from specs.files import interpolation, reading, surroundings
from specs.findings import Findings
from specs.history import History, Layer
from specs.keys import shapes
from specs.keys.document import DOCUMENT
from specs.node import Node

Files = Sequence[tuple[str, list[Node]]]


class Project:
    """`directory` is absolute: paths begin there. `trail`: the files that include each other down to this one. `history`: what
    is laid over what is noted there."""

    def __init__(
        self,
        directory: str,
        variables: Mapping[str, str],
        cwd: str,
        findings: Findings,
        fill_in: bool = True,
        trail: tuple[str, ...] = (),
        history: History | None = None,
    ) -> None:
        self.directory = directory
        self.variables = variables
        self.cwd = cwd
        self.findings = findings
        self.fill_in = fill_in
        self.trail = trail
        self.history = history
        self.files: dict[str, Node] = {}
        self.included_files: list[str] = []

    def merged(self, files: Files) -> Node:
        """All files in one document, without what is wrong in them. Raises SpecErrors where one cannot be read at all."""
        ready = [(file, *self.spelled(document)) for file, documents in files for document in documents]
        self.findings.next_step()
        base: Node | None = None
        for file, document, dropped in ready:
            under: list[tuple[str, Node]] = []
            extended = extension.extended(
                document, self.services_of, self.directory, dropped, file, self.findings, under
            )
            joined = inclusion.joined(extended, self, (*self.trail, file))
            self.note(under, document, dropped, step="laid over what was before it" if base is not None else "")
            base = merge.merge(base if base is not None else _empty(joined), joined, dropped)
        assert base is not None
        return base

    def note(self, under: Sequence[tuple[str, Node]], document: Node, dropped: Sequence[Path], *, step: str) -> None:
        """For who asks later. `under`: what its services extend."""
        if self.history is not None:
            layers = [Layer(words, below, (), self.variables) for words, below in under]
            includer = f"included by {self.shown(self.trail[-1])}" if self.trail else ""
            whole = Layer(", ".join(filter(None, (includer, step))), document, dropped, self.variables)
            self.history.layers += [*layers, whole]

    def shown(self, file: str) -> str:
        return surroundings.shown(file, self.cwd)

    def spelled(self, document: Node) -> tuple[Node, list[Path]]:
        """The document filled in, checked and spelled out, and the paths that it drops from what was before."""
        findings = self.findings
        if self.history is not None:
            self.history.note_written(document)
        written, dropped = merge.without_resets(document)
        replicas.refuse_resets(document, dropped, findings)
        filled = interpolation.interpolate(written, self.variables, findings) if self.fill_in else written
        fitting = shapes.fit(filled, DOCUMENT, findings, is_filled=self.fill_in)
        if (version := fitting.get("version")) is not None:
            findings.note(version, ("version",), "has no meaning any more and can be removed")
            fitting = fitting.with_value({key: child for key, child in fitting.mapping().items() if key != "version"})
        own = Findings()
        spelled = short_forms.spell_out(fitting, own, is_filled=self.fill_in)
        findings.add(own)
        return spelled, dropped

    def services_of(self, file: str, place: Node, path: Path) -> Node | None:
        """The services of another file as one that extends them sees them: its paths absolute. None: there is an error."""
        if file not in self.files:
            try:
                documents = reading.documents((file,), self.cwd)[0]
            except SpecErrors as error:
                for each in error.errors:
                    here = each if each.line else SpecError(path, f"{each.file}: {each.message}", *place.place)
                    self.findings.errors += [here] if here not in self.findings.errors else []
                return None
            base: Node | None = None
            for document in documents:
                spelled, dropped = self.spelled(document)
                base = merge.merge(base if base is not None else _empty(spelled), spelled, dropped)
            assert base is not None
            self.files[file] = relative.resolved(base, posixpath.dirname(file), is_whole=False)
        return self.files[file].get("services")

    def included(
        self, files: Sequence[str], directory: str, variables: Mapping[str, str], trail: tuple[str, ...]
    ) -> Node:
        """Another project that this one includes. Raises SpecErrors."""
        read = [*zip(files, reading.documents(tuple(files), self.cwd), strict=True)]
        other = Project(directory, variables, self.cwd, self.findings, self.fill_in, trail, self.history)
        other.included_files = self.included_files
        return relative.resolved(other.merged(read), directory, variables)

    def absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.directory, path))


def _empty(place: Node) -> Node:
    empty: dict[str, Node] = {}
    return place.with_value(empty)
