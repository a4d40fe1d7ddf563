"""Canonical values of the keys of a service that name others: services, containers, hosts."""

from __future__ import annotations

from specs.canonical import namespaces
from specs.context import Context
from specs.errors import Path
from specs.node import Node

_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")


def depends_on(node: Node, path: Path, context: Context) -> Node | None:
    found: dict[str, Node] = {}
    for name, child in node.mapping().items():
        condition = child.get("condition")
        if condition is None:
            context.findings.error(child, (*path, name), "condition is missing: " + ", ".join(_CONDITIONS))
        elif condition.value not in _CONDITIONS:
            message = f"'{condition.value}' is not a condition: {', '.join(_CONDITIONS)}"
            context.findings.error(condition, (*path, name, "condition"), message)
        given = {key: field for key, field in child.mapping().items() if field.value is not None}
        found[name] = child.with_value(
            {"required": child.with_value(True), "restart": child.with_value(False), **given}
        )
    return node.with_value(found)


def links(node: Node, path: Path, context: Context) -> Node | None:
    items: list[Node] = []
    for index, item in enumerate(node.sequence()):
        parts = str(item.value).split(":")
        if "" in parts or len(parts) > 2:
            context.findings.error(item, (*path, index), f"'{item.value}' is not SERVICE or SERVICE:ALIAS")
        items.append(item.with_value(f"{parts[0]}:{parts[-1]}"))
    return node.with_value(items)


def external_links(node: Node, path: Path, context: Context) -> Node | None:
    for index, item in enumerate(node.sequence()):
        parts = str(item.value).split(":")
        if "" in parts or len(parts) > 2:
            context.findings.error(item, (*path, index), f"'{item.value}' is not CONTAINER or CONTAINER:ALIAS")
    return node


def volumes_from(node: Node, path: Path, context: Context) -> Node | None:
    items: list[Node] = []
    for index, item in enumerate(node.sequence()):
        text = str(item.value)
        prefix = namespaces.CONTAINER if text.startswith(namespaces.CONTAINER) else ""
        name, _, access = text.removeprefix(prefix).partition(":")
        if not name or access not in ("", "ro", "rw"):
            forms = "SERVICE or container:NAME, either with :ro or :rw"
            context.findings.error(item, (*path, index), f"'{text}' is not {forms}")
        items.append(item.with_value(f"{prefix}{name}:ro" if access == "ro" else f"{prefix}{name}"))
    return node.with_value(items)


def extra_hosts(node: Node, path: Path, context: Context) -> Node | None:
    items: list[Node] = []
    for index, item in sorted(enumerate(node.sequence()), key=lambda found: str(found[1].value).partition("=")[0]):
        name, _, address = str(item.value).partition("=")
        if not name or not address:
            context.findings.error(item, (*path, index), f"'{item.value}' is not NAME=ADDRESS")
        items.append(item.with_value([item.with_value(name), item.with_value(address)]))
    return node.with_value(items)
