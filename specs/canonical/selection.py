"""Which services of a canonical document are active, and the networks, volumes, configs and secrets that these use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from specs.composing import replicas
from specs.errors import Path, SpecError
from specs.findings import Findings
from specs.node import Node

_KeysOf: TypeAlias = Callable[[Node], list[str]]


def select(
    document: Node,
    profiles: tuple[str, ...],
    named: tuple[str, ...],
    findings: Findings,
    *,
    unused: bool = False,
) -> tuple[Node, tuple[str, ...]]:
    """The document with active services only, and the names of the others.

    A service is active if it has no profile or an active one; naming it activates its profiles. `unused`: all networks and
    volumes are kept.
    """
    services = _entries(document, "services")
    enabled = set(profiles)
    for name in named:
        if name in services:
            enabled |= set(_profiles(services[name]) if not _is_active(services[name], enabled) else ())
        else:
            findings.errors.append(SpecError((), f"no such service: {name}", hint=_known(services)))
    active = {name: service for name, service in services.items() if _is_active(service, enabled)}
    kept = {
        name: _without_inactive(service, ("services", name), active, services, findings)
        for name, service in active.items()
    }
    bodies = [body for service in kept.values() for body in replicas.bodies(service)]
    selected = {
        **document.mapping(),
        "services": document.with_value(kept),
        **({"all_resources": document.with_value(True)} if unused else _networks_and_volumes(document, bodies)),
        "configs": document.with_value(_used(document, "configs", bodies, _config_keys)),
        "secrets": document.with_value(_used(document, "secrets", bodies, _secret_keys)),
    }
    return document.with_value(selected), tuple(name for name in services if name not in active)


def inactive(document: Node, profiles: tuple[str, ...], named: tuple[str, ...]) -> frozenset[str]:
    """The services that `select` would leave out of a document that is not canonical yet."""
    services = _entries(document, "services")
    enabled = {*profiles, *(profile for name in named if name in services for profile in _profiles(services[name]))}
    return frozenset(name for name, service in services.items() if not _is_active(service, enabled))


def _is_active(service: Node, enabled: set[str]) -> bool:
    own = _profiles(service)
    return not own or "*" in enabled or not enabled.isdisjoint(own)


def _profiles(service: Node) -> tuple[str, ...]:
    node = service.get("profiles")
    return tuple(str(item.value) for item in node.sequence()) if node is not None else ()


def _without_inactive(
    service: Node, path: Path, active: dict[str, Node], services: dict[str, Node], findings: Findings
) -> Node:
    """The service without its optional dependencies on inactive services; others on them are errors."""
    have = service.get("depends_on")
    if have is None:
        return service
    kept: dict[str, Node] = {}
    for name, dependency in have.mapping().items():
        where = (*path, "depends_on", name)
        required = dependency.get("required")
        if name in active or name not in services:
            kept[name] = dependency
        elif required is not None and required.value is False:
            findings.note(dependency, where, f"{name} is not active, and not required")
        else:
            profiles = _profiles(services[name])
            message = f"{name} is not active, it is of profile {' or '.join(profiles)}"
            findings.error(dependency, where, message, f"add --profile {profiles[0]}")
    return service.with_value({**service.mapping(), "depends_on": have.with_value(kept)})


def _entries(document: Node, key: str) -> dict[str, Node]:
    node = document.get(key)
    return node.mapping() if node is not None else {}


def _used(document: Node, key: str, services: Iterable[Node], keys_of: _KeysOf) -> dict[str, Node]:
    used = {key for service in services for key in keys_of(service)}
    return {name: node for name, node in _entries(document, key).items() if name in used}


def _networks_and_volumes(document: Node, services: Iterable[Node]) -> dict[str, Node]:
    return {
        "networks": document.with_value(_used(document, "networks", services, _network_keys)),
        "volumes": document.with_value(_used(document, "volumes", services, _volume_keys)),
    }


def _network_keys(service: Node) -> list[str]:
    node = service.get("networks")
    return list(node.mapping()) if node is not None else []


def _volume_keys(service: Node) -> list[str]:
    node = service.get("volumes")
    mounts = node.sequence() if node is not None else []
    return [str(mount.mapping()["source"].value) for mount in mounts if "source" in mount.mapping()]


def _config_keys(service: Node) -> list[str]:
    return _sources(service.get("configs"))


def _secret_keys(service: Node) -> list[str]:
    return _sources(service.get("secrets"))


def _sources(uses: Node | None) -> list[str]:
    return [str(use.mapping()["source"].value) for use in uses.sequence()] if uses is not None else []


def _known(services: dict[str, Node]) -> str:
    return "there are " + ", ".join(sorted(services)) if services else "the project has none"
