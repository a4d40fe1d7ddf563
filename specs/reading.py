"""Compose files read: each as its documents, with the place of everything in them."""

from __future__ import annotations

import sys

from specs import errors, local_files, scalars, source, surroundings
from specs.findings import Findings
from specs.node import Node


def documents(files: tuple[str, ...], cwd: str) -> list[list[Node]]:
    """The documents of each file. Raises SpecErrors."""
    read: list[list[Node]] = []
    findings = Findings()
    for file in files:
        shown = "stdin" if file == surroundings.STDIN else surroundings.shown(file, cwd)
        try:
            found = source.documents(_text(file, shown), shown)
        except errors.SpecErrors as error:
            findings.errors += error.errors
            continue
        if not found:
            findings.errors.append(errors.SpecError((), "the file is empty", shown, 1, 1))
        for document in found:
            if not isinstance(document.value, dict):
                kind = scalars.kind_of(document.value)
                findings.error(document, (), f"a compose file is a mapping, this is {kind}")
        read.append(found)
    findings.raise_errors()
    return read


def _text(file: str, shown: str) -> str:
    if file == surroundings.STDIN:
        return sys.stdin.read()
    try:
        content = local_files.content(file)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise errors.SpecErrors([errors.SpecError((), f"cannot be read: {error.strerror}", shown)]) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise errors.SpecErrors([errors.SpecError((), "this is not UTF-8", shown, line, 1)]) from error
