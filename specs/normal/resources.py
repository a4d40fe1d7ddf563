"""Networks, volumes, configs, secrets and models in Compose's normal form, and which of them services use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from specs import node, scalars
from specs.context import Context
from specs.node import Node

Json = dict[str, Any]


def _network(section: str, name: str, given: Node, context: Context, normalise: bool) -> Json:
    fields = _resource(section, name, given, context, normalise)
    if normalise:
        ipam = fields.get("ipam", {})
        pools = [{key: value for key, value in pool.items() if value} for pool in ipam.get("config", ())]
        fields["ipam"] = {key: value for key, value in {**ipam, "config": pools}.items() if value and key != "options"}
    return fields


def _resource(section: str, name: str, given: Node, context: Context, normalise: bool) -> Json:
    fields: Json = {}
    for key, child in given.mapping().items():
        value: Any = node.plain(child)
        if key == "driver_opts" and isinstance(value, dict):
            value = texts(value)
        if value not in (None, "", [], {}) and not (value is False and key not in _KEPT):
            fields[key] = value
    if normalise and "name" not in given.mapping():
        fields["name"] = name if fields.get("external") else f"{context.project_name}_{name}"
    return fields


def _model(section: str, name: str, given: Node, context: Context, normalise: bool) -> Json:
    fields = node.plain(given)
    return fields if isinstance(fields, dict) else {}


_KEPT = frozenset({"enable_ipv4", "enable_ipv6"})
SECTIONS: Mapping[str, Callable[[str, str, Node, Context, bool], Json]] = {
    "networks": _network,
    "volumes": _resource,
    "secrets": _resource,
    "configs": _resource,
    "models": _model,
}


def texts(options: Mapping[str, Any]) -> dict[str, str]:
    """The options of a driver, all as text."""
    return {key: scalars.as_text(value) for key, value in options.items()}


def used(services: Iterable[Json]) -> dict[str, set[str]]:
    """By section, the keys that services name."""
    found: dict[str, set[str]] = {section: set() for section in SECTIONS}
    for service in services:
        found["networks"] |= set(service.get("networks") or ())
        found["models"] |= set(service.get("models") or ())
        found["volumes"] |= {mount["source"] for mount in service.get("volumes", ()) if _is_volume(mount)}
        for section in ("configs", "secrets"):
            found[section] |= {use.get("source", "") for use in service.get(section, ())}
        found["secrets"] |= {use.get("source", "") for use in service.get("build", {}).get("secrets", ())}
    return found


def _is_volume(mount: Json) -> bool:
    return mount.get("type") == "volume" and bool(mount.get("source"))
