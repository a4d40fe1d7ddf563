"""Reading YAML as Compose does, with the place of everything.

The parser is libyaml where PyYAML was built with it, else PyYAML's own; both only give events. Composing them, and what a
scalar means, is done here: anchors, aliases and merge keys, `!reset` and `!override`, keys given twice (an error that
names both places), keys that are not text, and aliases that expand beyond reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from specs import errors, scalars
from specs.files.yaml_import import yaml
from specs.node import Node, Place

MAX_ALIASED_NODES = 100_000  # compose-go loader/reset.go: an alias bomb is refused beyond this many visited nodes
MAX_DEPTH = 200
MAX_ERRORS = 100
NODE_CHARACTERS = 100
"""Of a text count as one more node: aliases of long texts are a bomb too."""
_TAGS = {"!reset": "reset", "!override": "override"}


def documents(text: str, file: str) -> list[Node]:
    """The documents of a file, in order. Raises SpecErrors with every error that was found."""
    composer = _Composer(file)
    try:
        found = list(composer.documents(text))
    except yaml.MarkedYAMLError as error:
        raise errors.SpecErrors([*composer.errors, _syntax_error(error, text, file)]) from error
    except yaml.reader.ReaderError as error:
        raise errors.SpecErrors([_character_error(error, text, file)]) from error
    if composer.errors:
        raise errors.SpecErrors(composer.errors)
    return found


class _Refused(Exception):
    """Reading on makes no sense; the error is noted."""


class _Open:
    """An anchor whose node is not complete yet."""


class _Composer:
    """Turns events into nodes. `errors` are those after which reading could go on."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[errors.SpecError] = []
        self.anchors: dict[str, Node | _Open] = {}
        self.aliased = 0
        self.path: list[str | int] = []

    def documents(self, text: str) -> Iterator[Node]:
        events = _events(text)
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    self.anchors = {}
                    yield self.node(next(events), events)
        except _Refused:
            return

    def node(self, event: Any, events: Iterator[Any]) -> Node:
        """The node that begins with this event."""
        place = (self.file, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), place)
        if len(self.path) > MAX_DEPTH:
            raise self.refused(place, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor:
            self.anchors[event.anchor] = _Open()
        if isinstance(event, yaml.ScalarEvent):
            size = 1 + len(event.value) // NODE_CHARACTERS
            node = Node(self.scalar(event, place), place, _TAGS.get(event.tag or "", ""), size)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, events, place)
        else:
            node = self.mapping(event, events, place)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def scalar(self, event: Any, place: Place) -> Any:
        if "\0" in event.value:
            self.error(place, "a text has a NUL character, which no path, name or variable can have")
            return ""
        if event.tag is None or event.tag in _TAGS:
            return event.value if event.style else scalars.resolve(event.value)
        try:
            return scalars.resolve_tagged(event.tag, event.value)
        except ValueError as error:
            self.error(place, str(error))
            return None

    def alias(self, anchor: str, place: Place) -> Node:
        target = self.anchors.get(anchor)
        if target is None:
            raise self.refused(place, f"alias '*{anchor}' names no anchor above it")
        if isinstance(target, _Open):
            raise self.refused(place, f"alias '*{anchor}' is inside of the anchor it names")
        self.aliased += target.size
        if self.aliased > MAX_ALIASED_NODES:
            raise self.refused(place, f"the aliases of this file expand to more than {MAX_ALIASED_NODES} nodes")
        return target

    def sequence(self, event: Any, events: Iterator[Any], place: Place) -> Node:
        items: list[Node] = []
        size = 1
        for child in events:
            if isinstance(child, yaml.SequenceEndEvent):
                break
            self.path.append(len(items))
            item_place = (self.file, child.start_mark.line + 1, child.start_mark.column + 1)
            item = self.node(child, events)
            self.path.pop()
            size += item.size
            items.append(Node(item.value, item_place, item.tag, item.size))
        return Node(items, place, _TAGS.get(event.tag or "", ""), size)

    def mapping(self, event: Any, events: Iterator[Any], place: Place) -> Node:
        own: dict[str, Node] = {}
        merged: list[Node] = []
        seen: dict[str, Place] = {}
        size = 1
        for child in events:
            if isinstance(child, yaml.MappingEndEvent):
                break
            key_place = (self.file, child.start_mark.line + 1, child.start_mark.column + 1)
            is_merge = isinstance(child, yaml.ScalarEvent) and child.value == "<<" and not child.style
            key = "<<" if is_merge else self.key(child, events, key_place)
            self.path.append(key)
            value = self.node(next(events), events)
            if key in seen:
                self.error(key_place, f"the key '{key}' is given twice, first at {_position(seen[key])}")
            elif is_merge:
                merged += self.merge_sources(value, key_place)
            else:
                own[key] = Node(value.value, key_place, value.tag, value.size)
            seen.setdefault(key, key_place)
            self.path.pop()
            size += value.size
        return Node(_merged(own, merged), place, _TAGS.get(event.tag or "", ""), size)

    def key(self, event: Any, events: Iterator[Any], place: Place) -> str:
        self.path.append("?")
        value = self.node(event, events).value
        self.path.pop()
        if isinstance(value, str):
            return value
        if isinstance(value, dict | list):
            self.error(place, f"a key is text, this is {scalars.kind_of(value)}")
            return f"?{place[1]}:{place[2]}"
        text = getattr(event, "value", "") or scalars.as_text(value)
        self.error(place, f"a key is text, '{text}' is {scalars.kind_of(value)}", hint=f'write "{text}"')
        return text

    def merge_sources(self, value: Node, place: Place) -> list[Node]:
        sources = value.value if isinstance(value.value, list) else [value]
        if all(isinstance(source.value, dict) for source in sources):
            return sources
        self.error(place, "'<<' takes a mapping or a list of mappings")
        return []

    def error(self, place: Place, message: str, hint: str = "") -> None:
        """Raises _Refused after so many that reading on helps nobody."""
        self.errors.append(errors.SpecError(tuple(self.path), message, *place, hint))
        if len(self.errors) >= MAX_ERRORS:
            raise _Refused

    def refused(self, place: Place, message: str) -> _Refused:
        self.errors.append(errors.SpecError(tuple(self.path), message, *place))
        return _Refused()


def _merged(own: dict[str, Node], sources: list[Node]) -> dict[str, Node]:
    """Own entries win over merged ones, the first source over the second."""
    if not sources:
        return own
    merged: dict[str, Node] = {}
    for source in reversed(sources):
        merged |= source.mapping()
    return {**{key: node for key, node in merged.items() if key not in own}, **own}


def _events(text: str) -> Iterator[Any]:
    try:
        from yaml._yaml import CParser
    except ImportError:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
        return
    parser: Any = CParser(text)
    while parser.check_event():
        yield parser.get_event()


def _position(place: Place) -> str:
    return f"{place[0]}:{place[1]}:{place[2]}"


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: str) -> errors.SpecError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.split("\n")
    has_tab = line <= len(lines) and "\t" in lines[line - 1]
    hint = "indent with spaces, not tabs" if has_tab and "cannot start any token" in (error.problem or "") else ""
    return errors.SpecError((), f"this is not YAML: {error.problem or error}", file, line, column, hint)


def _character_error(error: yaml.reader.ReaderError, text: str, file: str) -> errors.SpecError:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return errors.SpecError((), f"this is not YAML: {error.reason}", file, line, column)
