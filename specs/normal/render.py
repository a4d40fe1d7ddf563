"""A document in Compose's normal form as text: `config`. Reading the text again gives the same document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specs import scalars
from specs.patterns import pattern

_INSIDE = r"[\w./~@%+=,;()<>*?!&|^$-]|:(?! )"
_PLAIN = pattern(rf"[\w./~$](?:{_INSIDE}| (?={_INSIDE}))*")
_AMBIGUOUS = frozenset({"y", "n", "yes", "no", "on", "off"})  # YAML 1.1 booleans, for other readers
_TEXT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def text(document: Mapping[str, Any]) -> str:
    """The document as YAML; keys are sorted."""
    lines: list[str] = []
    _mapping_lines(_without_idle(document), 0, lines)
    return "\n".join(lines) + "\n"


def _without_idle(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is in the JSON only: commands that are none, pools that nobody gives."""
    found = dict(document)
    for section in ("services", "networks", "volumes", "configs", "secrets", "models"):
        if section in found:
            found[section] = {name: _entry(found[section][name]) for name in sorted(found[section])}
    return found


def _entry(fields: Mapping[str, Any]) -> dict[str, Any]:
    idle: dict[str, Any] = {"command": None, "entrypoint": None, "ipam": {}}
    return {key: fields[key] for key in sorted(fields) if key not in idle or fields[key] != idle[key]}


def duration(seconds: float) -> str:
    """Seconds as Go writes them: 1h0m0s, 1m30s, 2.5s, 500ms."""
    if seconds and seconds < 1:
        return f"{_short(seconds * 1e3)}ms" if seconds >= 1e-3 else f"{_short(seconds * 1e6)}µs"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [f"{hours}h"] if hours else []
    parts += [f"{minutes}m"] if hours or minutes else []
    return "".join([*parts, f"{_short(rest)}s"])


def _short(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def escaped(value: Any) -> Any:
    """The value with its dollars doubled, so that reading it again does not take them for variables."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {escaped(key): escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list | tuple) else value


def _mapping_lines(value: Mapping[str, Any], indent: int, lines: list[str]) -> None:
    for key, item in value.items():
        _item_lines(" " * indent + f"{_scalar(key)}:", item, indent, lines)


def _item_lines(head: str, item: Any, indent: int, lines: list[str]) -> None:
    if isinstance(item, dict) and item:
        lines.append(head)
        _mapping_lines(item, indent + 2, lines)
    elif isinstance(item, list) and item:
        lines.append(head)
        for child in item:
            _list_item_lines(child, indent + 2, lines)
    else:
        lines.append(f"{head} {_scalar(item)}")


def _list_item_lines(child: Any, indent: int, lines: list[str]) -> None:
    below: list[str] = []
    if isinstance(child, dict) and child:
        _mapping_lines(child, indent + 2, below)
    elif isinstance(child, list) and child:
        for item in child:
            _list_item_lines(item, indent + 2, below)
    else:
        below.append(_scalar(child))
    lines.append(" " * indent + "- " + below[0].lstrip(" "))
    lines += below[1:]


def _scalar(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "{}" if isinstance(value, dict) else "[]"
    if not isinstance(value, str):
        return "null" if value is None else scalars.as_text(value)
    is_plain = _PLAIN.fullmatch(value) is not None and not value.endswith(":") and value.lower() not in _AMBIGUOUS
    return value if is_plain and isinstance(scalars.resolve(value), str) else _quoted(value)


def _quoted(value: str) -> str:
    return '"' + "".join(_TEXT_ESCAPES.get(char) or _character(char) for char in value) + '"'


def _character(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\U{ord(char):08x}"
