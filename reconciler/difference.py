"""How two Configs differ, in the user's words: "mem_limit 512m -> 1g".

Each kind has a table from the field of its Config to a `Word`: how users call it, whether the kernel can change it
in place, and how its value is shown. What is not in the table is not compared (it is part of the id)."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.types.parts import IdRange
from reconciler.resource import SAME, Difference

LONGEST_SHOWN = 60
SECRET = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)
"""Names whose values are not shown."""

Show = Callable[[Any], str]


def plainly(value: Any) -> str:
    """As a user would write it; nothing is "none"."""
    if value is None or value == "" or value == ():
        return "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def size(value: int | None) -> str:
    """Bytes as Compose writes them: 512m, 1g."""
    if value is None or value < 0:
        return "none" if value is None else "unlimited"
    for unit, power in (("g", 30), ("m", 20), ("k", 10)):
        if value and value % (1 << power) == 0:
            return f"{value >> power}{unit}"
    return f"{value}b"


def id_range(value: IdRange | None) -> str:
    """As in userns_mode, with the ids."""
    return f"auto ({value.first}+{value.length})" if value else "host"


@dataclass(frozen=True, slots=True)
class Word:
    """`parts`: the words of a Config inside this one. `members`: it is a collection; say what comes and goes."""

    text: str
    live: bool = False
    show: Show = plainly
    members: bool = False
    parts: Mapping[str, "Word"] | None = None


Words = Mapping[str, Word]


def between(old: Any, new: Any, words: Words) -> Difference:
    """From `old` to `new`."""
    if old == new:
        return SAME
    live: list[str] = []
    other: list[str] = []
    for name, word in words.items():
        was, will = getattr(old, name), getattr(new, name)
        if was == will:
            continue
        if word.parts and was is not None and will is not None:
            inner = between(was, will, word.parts)
            live, other = [*live, *inner.live], [*other, *inner.replace]
        else:
            (live if word.live else other).append(said(word, was, will))
    return Difference(tuple(live), tuple(other))


def both(one: Difference, other: Difference) -> Difference:
    return Difference(one.live + other.live, one.replace + other.replace)


def said(word: Word, was: Any, will: Any) -> str:
    if not word.members:
        return f"{word.text} {cut(word.show(was))} -> {cut(word.show(will))}"
    changes = list(_pairs(was, will) if _are_pairs(was, will) else _members(was, will, word.show))
    return f"{word.text} {', '.join(changes) or 'in another order'}"


def cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def _are_pairs(*values: Any) -> bool:
    return all(isinstance(member, tuple) and len(member) == 2 for value in values for member in value)


def _pairs(was: Any, will: Any) -> Iterator[str]:
    """Of mappings as sorted pairs."""
    old, new = dict(was), dict(will)
    for key in sorted(old.keys() | new.keys()):
        before, after = (_shown(key, mapping.get(key)) for mapping in (old, new))
        if key not in old:
            yield f"+{key}={after}"
        elif key not in new:
            yield f"-{key}"
        elif old[key] != new[key]:
            yield f"{key} {before} -> {after}"


def _shown(key: str, value: Any) -> str:
    return "***" if SECRET.search(key) else cut(plainly(value))


def _members(was: Any, will: Any, show: Show) -> Iterator[str]:
    yield from (f"-{show(member)}" for member in was if member not in will)
    yield from (f"+{show(member)}" for member in will if member not in was)
