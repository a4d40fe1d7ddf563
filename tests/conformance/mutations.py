"""Accepted projects spoilt in twenty ways, of which the oracle says whether they still are projects."""

import copy
import json
import pathlib
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.conformance.comparing import Case

Path = tuple[str | int, ...]
Spoil = Callable[[Any, random.Random], Any]


def _of_another_kind(value: Any, dice: random.Random) -> Any:
    return dice.choice([7, 2.5, True, "text", [], {}, None, [1], {"a": 1}, [None], "", -1, "${X", "$$x", "1.5"])


def _one_more(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict):
        return {**value, dice.choice(["nothing", "x-a", "a b", ""]): dice.choice([1, "a", None, {}])}
    return [*value, dice.choice([1, "a", None, {}, [], *value])] if isinstance(value, list) else f"{value}:x"


def _one_less(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict) and value:
        gone = dice.choice(sorted(value))
        return {key: child for key, child in value.items() if key != gone}
    return value[:-1] if isinstance(value, list | str) else None


def _twice(value: Any, dice: random.Random) -> Any:
    return [*value, *value] if isinstance(value, list) else [value, value]


def _renamed(value: Any, dice: random.Random) -> Any:
    if not isinstance(value, dict) or not value:
        return {"a": value}
    key = dice.choice(sorted(value))
    return {f"{name}s" if name == key else name: child for name, child in value.items()}


_AS: tuple[Spoil, ...] = (
    _of_another_kind,
    _one_more,
    _one_less,
    _twice,
    _renamed,
    lambda value, dice: str(value),
    lambda value, dice: [value],
    lambda value, dice: {"a": value},
    lambda value, dice: None,
    lambda value, dice: "",
    lambda value, dice: 0,
    lambda value, dice: -1,
    lambda value, dice: True,
    lambda value, dice: [],
    lambda value, dice: {},
    lambda value, dice: f"{value} ",
    lambda value, dice: f"{value}/x",
    lambda value, dice: f"service:{value}",
    lambda value, dice: 1.5,
    lambda value, dice: "nobody",
)
"""Twenty ways to spoil one value of a document."""


def cases(model: Any, name: str, scratch: pathlib.Path, count: int) -> Iterator[Case]:
    """Some of the ways, each at a place that follows from the name. They are written below the folder."""
    dice = random.Random(name)
    places = [path for path in _paths(model) if path]
    for number, spoil in enumerate(dice.sample(_AS, min(count, len(_AS)))):
        path = dice.choice(places)
        folder = scratch / f"{zlib.crc32(name.encode())}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "compose.yaml").write_text(json.dumps(_spoilt(model, path, spoil, dice)))
        shown = ".".join(map(str, path))
        yield Case(f"{name} spoilt at {shown} in way {_AS.index(spoil)}", folder)


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))


def _spoilt(model: Any, path: Path, spoil: Spoil, dice: random.Random) -> Any:
    document = copy.deepcopy(model)
    above = document
    for part in path[:-1]:
        above = above[part]
    above[path[-1]] = spoil(above[path[-1]], dice)
    return document
