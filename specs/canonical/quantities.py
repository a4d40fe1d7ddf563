"""Canonical values of keys that are quantities: times, sizes, counts. None where the value means what its absence means."""

from __future__ import annotations

from specs import units
from specs.context import Context
from specs.errors import Path
from specs.node import Node


def duration(node: Node, path: Path, context: Context) -> Node | None:
    """Seconds."""
    try:
        return node.with_value(units.parse_duration(str(node.value)))
    except ValueError as error:
        context.findings.error(node, path, str(error))
        return None


def size(node: Node, path: Path, context: Context) -> Node | None:
    """Bytes; None for 0 and -1, which are no limit."""
    if str(node.value) == "-1":
        return None
    try:
        number = units.parse_bytes(node.value if isinstance(node.value, str | int) else str(node.value))
    except ValueError as error:
        context.findings.error(node, path, str(error))
        return None
    return node.with_value(number) if number else None


def cpus(node: Node, path: Path, context: Context) -> Node | None:
    """CPUs as a float; None for 0."""
    number = float(node.value) if isinstance(node.value, int | float) else 0.0
    if not 0 <= number < 1e6:
        context.findings.error(node, path, f"{node.value} is not a number of CPUs")
        return None
    return node.with_value(number) if number else None


def pids(node: Node, path: Path, context: Context) -> Node | None:
    """A number of processes; None for 0 and -1, which are no limit."""
    number = node.value if isinstance(node.value, int) else 0
    if number < -1:
        context.findings.error(node, path, f"{number} is not a number of processes")
    return node if number > 0 else None


def microseconds(node: Node, path: Path, context: Context) -> Node | None:
    """A number of them, or a duration; None for 0."""
    text = str(node.value).strip()
    try:
        number = int(text) if text.lstrip("-").isdigit() else round(units.parse_duration(text) * 1e6)
    except ValueError:
        number = -1
    if number < 0:
        message = f"'{node.value}' is neither a number of microseconds nor a duration such as 400ms"
        context.findings.error(node, path, message)
    return node.with_value(number) if number > 0 else None


def swap(node: Node, path: Path, context: Context) -> Node | None:
    return node.with_value(-1) if str(node.value) == "-1" else size(node, path, context)


def unless_minus_one(node: Node, path: Path, context: Context) -> Node | None:
    return node if node.value not in (0, -1) else None


def swappiness(node: Node, path: Path, context: Context) -> Node | None:
    if not str(node.value).lstrip("-").isdecimal():
        context.findings.error(node, path, f"'{node.value}' is not a whole number")
        return None
    return node.with_value(int(str(node.value))) if str(node.value) != "-1" else None


def positive(node: Node, path: Path, context: Context) -> Node | None:
    return node if node.value != 0 else None
