"""What becomes of each key where it is to run, told by reading its row's documents: honoured; noted, where there is nothing to do
about it; refused, with the reason that the user gets."""

import re
from functools import cache
from typing import NamedTuple

from specs import errors
from tests.keys import documents, rows
from tests.keys.rows import Row

HONOURED, NOTED, KEPT, REFUSED = "honoured", "noted", "kept", "refused"


class Verdict(NamedTuple):
    """`why`: what is printed."""

    word: str
    why: str = ""


@cache
def _found(path: str) -> tuple[Verdict, Verdict | None]:
    row = rows.BY_PATH[path]
    refusal = Verdict(REFUSED, refusal_of(row)) if row.refused else None
    if refusal and not row.after:
        return refusal, refusal
    note = note_of(row) if row.after else ""
    return Verdict(NOTED, note) if note else Verdict(KEPT if row.is_kept else HONOURED), refusal


def of(row: Row) -> Verdict:
    return _found(row.path)[0]


def refusal_of(row: Row) -> str:
    """What `up` says to it. Raises AssertionError where it says nothing of this key."""
    try:
        documents.canonical(row, row.refused)
    except errors.SpecErrors as error:
        for each in error.errors:
            if _is_about(row.path, _plain_path(errors.dotted(each.path))):
                return each.message + (f" ({each.hint})" if each.hint else "")
    raise AssertionError(f"nobody refuses {row.path}")


def note_of(row: Row) -> str:
    """What is noted of it; "": nothing."""
    for note in documents.canonical(row, row.after).notes:
        _, _, rest = note.partition(": ")
        path, _, words = rest.partition(": ")
        if _is_about(row.path, _plain_path(path)):
            return words
    return ""


def _is_about(path: str, said: str) -> bool:
    return path == said or path.startswith(f"{said}.")


def _plain_path(path: str) -> str:
    """Without the user's own name and indexes."""
    section, _, rest = re.sub(r"\[\d+\]", "", path).partition(".")
    _, _, below = rest.partition(".")
    return f"{section}.{below}" if section in documents.PARTS and below else section
