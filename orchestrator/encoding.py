"""The messages of orchestrator.protocol as JSON, and back. What comes is checked: unknown and missing fields are errors."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from orchestrator import errors, protocol
from orchestrator.protocol import Document, Event, Names, Numbers, Texts

NUMBER_MAX = 10**12
EVENTS: dict[str, type[Any]] = {each.__name__.lower(): each for each in protocol.EVENT_CLASSES}
T = TypeVar("T")


# ------------------------------------------------------------------------------------------------------------ to JSON


def to_json(value: Any) -> Any:
    """A message as JSON-able data; NamedTuples become mappings."""
    if hasattr(value, "_asdict"):
        return {key: to_json(each) for key, each in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: to_json(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    return value


def line_of(event: Event) -> bytes:
    """The event as one line of JSON, its kind first."""
    body = {"event": type(event).__name__.lower(), **to_json(event)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


# ---------------------------------------------------------------------------------------------------------- from JSON


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list_of(shape: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: tuple(shape(each) for each in _checked(value, list))


def _checked(value: Any, *wanted: type) -> Any:
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise ValueError(f"not {' or '.join(each.__name__ for each in wanted)}")
    return value


def _numbers(value: Any) -> Numbers:
    if not all(_is_integer(each) for each in _checked(value, dict).values()):
        raise ValueError("not whole numbers")
    return {key: _integer(each) for key, each in value.items()}


def _integer(value: Any) -> int:
    found: int = _checked(value, int)
    if abs(found) > NUMBER_MAX:
        raise ValueError("too large a number")
    return found


def _float(value: Any) -> float:
    """Finite: it becomes a time."""
    if not abs(_checked(value, int, float)) <= NUMBER_MAX:
        raise ValueError("too large a number, or none")
    return float(value)


def _texts(value: Any) -> Texts:
    return {key: _checked(each, str) for key, each in _checked(value, dict).items()}


SHAPES: dict[Any, Callable[[Any], Any]] = {
    str: lambda value: _checked(value, str),
    bool: lambda value: _checked(value, bool),
    int: _integer,
    float: _float,
    str | None: lambda value: None if value is None else _checked(value, str),
    int | None: lambda value: None if value is None else _integer(value),
    float | None: lambda value: None if value is None else _float(value),
    Names: _list_of(lambda value: _checked(value, str)),
    Numbers: _numbers,
    Texts: _texts,
    Document: lambda value: dict(_checked(value, dict)),
    tuple[protocol.Change, ...]: _list_of(lambda value: parse(protocol.Change, value)),
    tuple[protocol.Waiting, ...]: _list_of(lambda value: parse(protocol.Waiting, value)),
    tuple[protocol.Container, ...]: _list_of(lambda value: parse(protocol.Container, value)),
}


def parse(kind: type[T], data: object) -> T:
    """`data`, checked, as a `kind`. Raises Invalid that names the field; unknown and missing fields are errors."""
    if not isinstance(data, Mapping):
        raise errors.Invalid(f"cannot read {kind.__name__.lower()}: it is not a mapping")
    fields: dict[str, Any] = kind.__annotations__
    unknown = sorted(set(data) - set(fields))
    missing = sorted(set(fields) - set(data) - set(kind._field_defaults))  # type: ignore[attr-defined]
    if unknown or missing:
        said = "unknown: " + ", ".join(map(str, unknown)) if unknown else "missing: " + ", ".join(missing)
        raise errors.Invalid(f"cannot read {kind.__name__.lower()}: {said}")
    values = {}
    for name, value in data.items():
        try:
            values[name] = SHAPES[fields[name]](value)
        except ValueError as error:
            raise errors.Invalid(f"cannot read {kind.__name__.lower()}: {name}: {error}") from error
    return kind(**values)


def event_of(line: bytes) -> Event:
    """The event that `line_of` wrote. Raises Invalid."""
    try:
        data = json.loads(line)
        kind = EVENTS[data.pop("event")]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise errors.Invalid(f"cannot read an event of the daemon: {line[:80]!r}") from error
    found: Event = parse(kind, data)
    return found
