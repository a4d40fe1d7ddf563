"""A canonical document written as Compose would show it: `config`. Reading the text again gives the same document."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from specs import scalars

_INSIDE = r"[\w./~@%+=,;()<>*?!&|^$-]|:(?! )"
_PLAIN = re.compile(rf"[\w./~$](?:{_INSIDE}| (?={_INSIDE}))*")
_AMBIGUOUS = frozenset({"y", "n", "yes", "no", "on", "off"})  # YAML 1.1 booleans, for other readers
_TEXT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def text(canonical: Mapping[str, Any]) -> str:
    """The document as YAML; services and keys are sorted, dollars escaped."""
    lines: list[str] = []
    _mapping_lines(document(canonical), 0, lines)
    return "\n".join(lines) + "\n"


def document(canonical: Mapping[str, Any]) -> dict[str, Any]:
    """The document with Compose's units and forms: durations and sizes as text, empty networks as null."""
    sections: dict[str, Any] = {"name": canonical["name"]}
    services = canonical["services"]
    sections["services"] = {name: _service(services[name]) for name in sorted(services)}
    for section in ("networks", "volumes"):
        if canonical.get(section):
            sections[section] = {key: _sorted(canonical[section][key]) for key in sorted(canonical[section])}
    for section in ("configs", "secrets"):
        if canonical.get(section):
            shown = {
                name: {k: v for k, v in fields.items() if k != "data"} for name, fields in canonical[section].items()
            }
            sections[section] = {name: _sorted(shown[name]) for name in sorted(shown)}
    return {key: _escaped(value) for key, value in sections.items()}


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


def _service(service: Mapping[str, Any]) -> dict[str, Any]:
    """Without what follows from the rest: what each replica is."""
    shown = sorted(service.keys() - {"replicas"})
    return {key: _FORMS[key](service[key]) if key in _FORMS else service[key] for key in shown}


def _only_ours(value: Mapping[str, Any]) -> dict[str, Any]:
    shown = _sorted(value)
    if len(templates := shown.get("replica", ())) == 1:
        shown["replica"] = templates[0]
    if "leave" in shown:
        shown["leave"] = {key: duration(item) if key == "timeout" else item for key, item in shown["leave"].items()}
    return shown


def _healthcheck(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: duration(item) if isinstance(item, float) else item for key, item in _sorted(value).items()}


def _depends_on(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {k: v for k, v in how.items() if k != "implied"} for name, how in _sorted(value).items()}


def _networks(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _sorted(joined) or None for key, joined in value.items()}


def _links(value: list[str]) -> list[str]:
    return [link.partition(":")[0] if link.partition(":")[0] == link.partition(":")[2] else link for link in value]


def _volumes(value: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for mount in value:
        shown = dict(mount)
        if "tmpfs" in shown:
            shown["tmpfs"] = {key: str(item) if key == "size" else item for key, item in shown["tmpfs"].items()}
        found.append(shown)
    return found


def _sorted(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in sorted(value)}


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "annotations": _sorted,
    "depends_on": _depends_on,
    "environment": _sorted,
    "extra_hosts": lambda value: [f"{name}={address}" for name, address in value],
    "healthcheck": _healthcheck,
    "labels": _sorted,
    "links": _links,
    "mem_limit": str,
    "mem_reservation": str,
    "memswap_limit": str,
    "networks": _networks,
    "shm_size": str,
    "stop_grace_period": duration,
    "sysctls": _sorted,
    "ulimits": _sorted,
    "volumes": _volumes,
    "x-corral": _only_ours,
}


def _escaped(value: Any) -> Any:
    """The value with its dollars doubled, so that reading it again does not take them for variables."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list | tuple) else value


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
    if not isinstance(child, dict) or not child:
        lines.append(" " * indent + f"- {_scalar(child)}")
        return
    below: list[str] = []
    _mapping_lines(child, indent + 2, below)
    lines.append(" " * indent + "- " + below[0].lstrip())
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
