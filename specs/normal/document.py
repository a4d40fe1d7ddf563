"""What a project means to Compose, as `docker compose config` prints it: its canonical model, with every key of the
specification.

It is made of the same composed document as our own `canonical`, which says what the engine can do of it. Nothing is refused here
because no engine of ours could do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from specs import loader, node
from specs.composing import relative
from specs.context import Context
from specs.errors import Path, SpecError
from specs.files import surroundings
from specs.findings import Findings
from specs.keys import settled
from specs.keys.document import DOCUMENT
from specs.node import Node
from specs.normal import checks, render, resources
from specs.normal import service as normal_service
from specs.normal.manner import WHOLE, Manner

Json = dict[str, Any]


class Normal(NamedTuple):
    """`document` is what is printed: services that are active and what these use, with every dollar doubled, so that reading it
    again does not take it for a variable. `profiles`: all that any service names.
    `variables`: of the shell and the env files."""

    document: Json
    profiles: tuple[str, ...]
    variables: Mapping[str, str]
    notes: tuple[str, ...]
    root: Node

    def locate(self, path: Path) -> node.Place | None:
        place = node.place_of(self.root, path)
        return place if path and place[0] else None


def load(options: loader.LoadOptions, manner: Manner = WHOLE) -> Normal:
    """The project's normal form. Raises SpecErrors."""
    return of(loader.prepare(options, fill_in=manner.interpolate), manner)


def of(prepared: loader.Prepared, manner: Manner = WHOLE) -> Normal:
    """The normal form of files that are one already, filled in or not as the manner says. Raises SpecErrors."""
    root, context, named = prepared.document, prepared.context(), prepared.options.services
    findings = context.findings
    if not root.mapping():
        findings.error(root, (), "the file is empty")
    if manner.interpolate:
        settled.check(root, DOCUMENT, findings)
        findings.next_step()
    if manner.resolve_paths:
        root = relative.resolved(root, context.directory, home=context.variables.get("HOME", ""))
    enabled = set(surroundings.profiles(prepared.options.profiles, prepared.variables))
    document = _document(root, context, manner)
    profiles = tuple(
        sorted({name for service in document["services"].values() for name in service.get("profiles", ())})
    )
    if manner.interpolate:
        document, disabled = _active(document, enabled, named, findings)
        if manner.check:
            checks.check(document, disabled, root, findings)
        document = _named(document, named)
        document = render.escaped(document if prepared.options.all_resources else _used(document))
    findings.raise_errors()
    document = {key: value for key, value in document.items() if value or key not in resources.SECTIONS}
    return Normal(document, profiles, prepared.variables, tuple(findings.notes), root)


def _document(root: Node, context: Context, manner: Manner) -> Json:
    services = {
        name: normal_service.service(child, ("services", name), context, manner)
        for name, child in _entries(root, "services")
    }
    found: Json = {"name": context.project_name, "services": services}
    for section, make in resources.SECTIONS.items():
        found[section] = {
            name: make(section, name, child, context, manner.normalise) for name, child in _entries(root, section)
        }
    joined = [service.get("networks") or () for service in services.values() if "provider" not in service]
    is_joined = any("default" in networks for networks in joined)
    if manner.normalise and is_joined and "default" not in found["networks"]:
        found["networks"]["default"] = {"name": f"{context.project_name}_default", "ipam": {}}
    extensions = {key: node.plain(child) for key, child in root.mapping().items() if key.startswith("x-")}
    return {**found, **extensions}


def _active(
    document: Json, enabled: set[str], named: Iterable[str], findings: Findings
) -> tuple[Json, dict[str, Json]]:
    """The document with active services only, and the others."""
    services = document["services"]
    for name in named:
        if name in services:
            enabled |= set(services[name].get("profiles", ()))
        else:
            known = "there are " + ", ".join(sorted(services)) if services else "the project has none"
            findings.errors.append(SpecError((), f"no such service: {name}", hint=known))
    active = {
        name: service
        for name, service in services.items()
        if not service.get("profiles") or "*" in enabled or not enabled.isdisjoint(service["profiles"])
    }
    disabled = {name: service for name, service in services.items() if name not in active}
    return {**document, "services": active}, disabled


def _named(document: Json, names: Iterable[str]) -> Json:
    """With these services, and what they depend on, only; none: all."""
    services, todo = document["services"], [*names]
    kept: set[str] = set() if todo else set(services)
    while todo:
        if (name := todo.pop()) in services and name not in kept:
            kept.add(name)
            todo += services[name].get("depends_on", ())
    return {**document, "services": {name: service for name, service in services.items() if name in kept}}


def _used(document: Json) -> Json:
    """Without what no service uses. A template of replicas may use anything."""
    services = document["services"].values()
    if any("replica" in (service.get("x-corral") or {}) for service in services):
        return document
    used = resources.used(services)
    kept = {
        section: {name: entry for name, entry in document[section].items() if name in used[section]}
        for section in resources.SECTIONS
    }
    return {**document, **kept}


def _entries(root: Node, section: str) -> Iterable[tuple[str, Node]]:
    entries = root.get(section)
    return entries.mapping().items() if entries is not None else ()
