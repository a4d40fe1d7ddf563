"""Compose files read: each as its documents, with the place of everything in them."""

from __future__ import annotations

import sys

from specs import errors, local_files, scalars
from specs.files import source, surroundings
from specs.findings import Findings
from specs.node import Node

BYTES_MAX = 4 << 20
_TOO_LARGE = f"a compose file has {BYTES_MAX >> 20} MiB at most, this one has more"


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
    """No more of it than can be a compose file: it may have no end at all."""
    if file == surroundings.STDIN:
        text = sys.stdin.read(BYTES_MAX + 1)
        if len(text) > BYTES_MAX:
            raise _refused(_TOO_LARGE, shown)
        return text
    try:
        content = local_files.content(file, BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise _refused(_TOO_LARGE, shown)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise _refused(f"cannot be read: {error.strerror}", shown) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise errors.SpecErrors([errors.SpecError((), "this is not UTF-8", shown, line, 1)]) from error


def _refused(message: str, shown: str) -> errors.SpecErrors:
    return errors.SpecErrors([errors.SpecError((), message, shown)])
