"""What may be written where: the shapes of values, and the walk that holds a document against them.

A shape says which kinds of YAML it takes. `fit` turns text into booleans and numbers where those
are wanted (after interpolation everything may be text), and finds every deviation: a wrong kind, an unknown key (with the
known one it resembles). Empty values pass: merging decides whether they mean anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from specs import scalars
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, Scalar, Value
from specs.patterns import pattern


class Single(NamedTuple):
    """A scalar of one of `kinds`. `cast` turns text into the kind that is wanted; `check` says no to a
    value once all is merged; both raise ValueError. `can_be_null`: an empty value is a value."""

    words: str
    kinds: tuple[type, ...]
    cast: Callable[[str], Scalar] | None = None
    check: Callable[[Scalar], None] | None = None
    can_be_null: bool = False


class Items(NamedTuple):
    """A list. `unique`: the same item twice is an error."""

    item: Shape
    unique: bool = False
    can_be_null: bool = False


class Entries(NamedTuple):
    """A mapping with names of the user's choice; `names` is what they must look like."""

    value: Shape
    names: re.Pattern[str] | None = None
    can_be_null: bool = False


class Keys(NamedTuple):
    """A mapping with known keys, and with those that begin with x-, if it has `extensions`. `needs`: keys that
    it must have, once all is merged. `others`: what keys have that are none of these, where there may be any."""

    known: Mapping[str, Shape]
    needs: tuple[str, ...] = ()
    others: Shape | None = None
    extensions: bool = True
    can_be_null: bool = False

    def shape_of(self, key: str) -> Shape | None:
        return self.known.get(key) or self.others


class Either(NamedTuple):
    """One of several, by the kind of what is written: at most one shape for each kind."""

    options: tuple[Shape, ...]
    can_be_null: bool = False


class Unread(NamedTuple):
    """A mapping that is held against a shape of its own later, once its texts are known."""

    can_be_null: bool = False


Shape: TypeAlias = "Single | Items | Entries | Keys | Either | Unread"


def to_boolean(text: str) -> bool:
    """The boolean that compose-go's loader/interpolate.go takes the text for. Raises ValueError."""
    match text.lower():
        case "true" | "y" | "yes" | "on":
            return True
        case "false" | "n" | "no" | "off":
            return False
    raise ValueError(f"'{text}' is not a boolean")


def to_integer(text: str) -> int:
    if re.fullmatch(r"[-+]?\d+", text, re.ASCII) is None or len(text) > 100:
        raise ValueError(f"'{text}' is not a whole number")
    return int(text)


def to_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None


TEXT = Single("text", (str,))
BOOLEAN = Single("a boolean", (bool,), to_boolean)
INTEGER = Single("a whole number", (int,), to_integer)
NUMBER = Single("a number", (int, float), to_number)
QUANTITY = Single("a number or text", (int, float, str))
ANY_SCALAR = Single("text, a number or a boolean", (int, float, str, bool))
TEXTS = Items(TEXT)
TEXT_OR_TEXTS = Either((TEXT, TEXTS))
SOME_NAME = pattern(".+", re.DOTALL)
PAIRS = Either((Entries(ANY_SCALAR._replace(can_be_null=True), SOME_NAME), TEXTS))


def fit(root: Node, shape: Shape, findings: Findings, *, is_filled: bool = True) -> Node:
    """The document with its text cast; everything in it that deviates from the shape is an error, and left out. `is_filled`
    False: texts with variables stay, whatever they will be."""
    return _Walk(findings, is_filled).node(root, shape, ()) or root.with_value({})


class _Walk:
    def __init__(self, findings: Findings, is_filled: bool) -> None:
        self.findings = findings
        self.is_filled = is_filled

    def node(self, node: Node, shape: Shape, path: Path) -> Node | None:
        """None for what does not fit."""
        value = node.value
        if value is None or (not self.is_filled and isinstance(value, str) and "$" in value):
            return node
        if isinstance(shape, Either):
            shape = fitting(shape, value) or shape
        if not _takes(shape, value):
            self.wrong_kind(node, shape, path)
            return None
        if isinstance(shape, Single):
            return self.scalar(node, shape, path)
        return node.with_value(self.value(node, shape, path))

    def value(self, node: Node, shape: Shape, path: Path) -> Value:
        match shape:
            case Items():
                return self.items(node, shape, path)
            case Entries():
                return self.entries(node, shape, path)
            case Keys():
                return self.keys(node, shape, path)
        return node.value

    def scalar(self, node: Node, shape: Single, path: Path) -> Node | None:
        value = node.value
        if float not in shape.kinds and isinstance(value, float):
            return node.with_value(int(value))
        if shape.cast is None or not isinstance(value, str):
            return node
        try:
            return node.with_value(shape.cast(value))
        except ValueError as error:
            self.findings.error(node, path, str(error))
            return None

    def items(self, node: Node, shape: Items, path: Path) -> list[Node]:
        """The items; none at all if one does not fit, so that no later error names a wrong index."""
        items = [self.node(item, shape.item, (*path, index)) for index, item in enumerate(node.sequence())]
        seen: set[object] = set()
        for index, item in enumerate(items):
            if item is not None and item.value is None:
                self.findings.error(item, (*path, index), "is empty")
                items[index] = None
            elif item is not None and shape.unique and isinstance(item.value, str):
                if item.value in seen:
                    self.findings.error(item, (*path, index), f"'{item.value}' is given twice")
                seen.add(item.value)
        fitting = [item for item in items if item is not None]
        return fitting if len(fitting) == len(items) else []

    def entries(self, node: Node, shape: Entries, path: Path) -> dict[str, Node]:
        found = {}
        for name, child in node.mapping().items():
            if shape.names is not None and not shape.names.fullmatch(name):
                why = f"'{name}' is not a name: letters, digits, '.', '_' and '-' only" if name else "a name is empty"
                self.findings.error(child, (*path, name), why)
            fitting = self.node(child, shape.value, (*path, name))
            if fitting is not None:
                found[name] = fitting
        return found

    def keys(self, node: Node, shape: Keys, path: Path) -> dict[str, Node]:
        found = {}
        for key, child in node.mapping().items():
            expected = shape.shape_of(key)
            if expected is not None:
                fitting = self.node(child, expected, (*path, key))
                if fitting is not None:
                    found[key] = fitting
            elif key.startswith("x-") and shape.extensions:  # compose-spec 11-extension.md
                found[key] = child
            else:
                hint = _did_you_mean(key, shape) if self.findings.wants_hints else ""
                self.findings.error(child, (*path, key), f"unknown key '{key}'", hint)
        return found

    def wrong_kind(self, node: Node, shape: Shape, path: Path) -> None:
        shown = scalars.as_text(node.value) if not isinstance(node.value, dict | list) else "this"
        hint = f'write "{shown}"' if _takes(shape, "") and shown != "this" else ""
        self.findings.error(node, path, f"must be {_words(shape)}, {shown} is {scalars.kind_of(node.value)}", hint)


def _takes(shape: Shape, value: Value) -> bool:
    match shape:
        case Single():
            if isinstance(value, str):
                return str in shape.kinds or shape.cast is not None
            return type(value) in shape.kinds or (int in shape.kinds and _is_whole(value))
        case Items():
            return isinstance(value, list)
        case Either():
            return any(_takes(option, value) for option in shape.options)
    return isinstance(value, dict)


def _is_whole(value: Value) -> bool:
    """A whole number of JSON, as 2.0 is one."""
    return isinstance(value, float) and value.is_integer()


def _words(shape: Shape) -> str:
    match shape:
        case Single():
            return shape.words
        case Items():
            return "a list"
        case Either():
            return " or ".join(_words(option) for option in shape.options)
    return "a mapping"


def fitting(shape: Shape, value: Value) -> Shape | None:
    """Of several shapes the one for this kind of value."""
    if isinstance(shape, Either):
        return next((found for option in shape.options if (found := fitting(option, value)) is not None), None)
    return shape if _takes(shape, value) else None


def _did_you_mean(key: str, shape: Keys) -> str:
    from difflib import get_close_matches  # only where something is wrong: its import costs

    close = get_close_matches(key, shape.known, n=1)
    return f"did you mean {close[0]}?" if close else ""
