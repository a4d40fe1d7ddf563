"""`provider`: a service that is no container, but what a program of this machine makes (docker/compose docs/extension.md).

The program says variables, which the services that depend on it get: `provided` of a canonical service names them among its
`environment`, once the program has run. Which providers it depends on stands there from the beginning, in `providers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from specs import scalars
from specs.composing import pairs
from specs.context import Context
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, Place, text_of

KEPT = ("provider", "depends_on", "profiles")
"""Of a service with a provider; what else it says is nobody's."""


class Provider(NamedTuple):
    """`type`: the program. `options`: each with its values. `needs`: other providers, which are asked before."""

    name: str
    type: str
    options: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...]
    place: Place


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    """Its options as lists of text."""
    fields = {key: child for key, child in node.mapping().items() if child.value is not None}
    if text_of(node, "type") == "compose":
        context.findings.error(fields["type"], (*path, "type"), "compose is what asks providers, and none itself")
    if (options := fields.get("options")) is not None:
        fields["options"] = options.with_value(
            {key: child.with_value([*_texts(child)]) for key, child in options.mapping().items()}
        )
    return node.with_value(fields)


def _texts(node: Node) -> list[Node]:
    items = node.sequence() if isinstance(node.value, list) else [node]
    return [item.with_value(scalars.as_text(pairs.scalar(item))) for item in items]


def of_interest(service: Node, path: Path, context: Context) -> dict[str, Node]:
    """What such a service says that means something."""
    for key, child in service.mapping().items():
        if key not in KEPT and child.value is not None:
            context.findings.note(child, (*path, key), "means nothing beside a provider, to Compose either")
    return {key: child for key, child in service.mapping().items() if key in KEPT}


def is_one(service: Node) -> bool:
    return service.get("provider") is not None


def taken_out(root: Node, findings: Findings) -> tuple[Node, tuple[Provider, ...]]:
    """The document without services that have a provider, each of these after those it needs; who depends on one says so."""
    services = root.mapping()["services"].mapping()
    found = {name: service for name, service in services.items() if is_one(service)}
    if not found:
        return root, ()
    _refuse_rings(services, found, findings)
    kept = {name: _without(service, found) for name, service in services.items() if name not in found}
    for name, service in found.items():
        for other in _needs(service):
            if other in kept:
                path: Path = ("services", name, "depends_on", other)
                findings.note(service, path, "providers are asked before any container starts")
    document = root.with_value({**root.mapping(), "services": root.mapping()["services"].with_value(kept)})
    return document, _in_order({name: _provider(name, service, found) for name, service in found.items()})


def _provider(name: str, service: Node, providers: Mapping[str, Node]) -> Provider:
    node = service.mapping()["provider"]
    options = node.get("options")
    given = options.mapping().items() if options is not None else ()
    return Provider(
        name,
        text_of(node, "type"),
        {key: tuple(str(item.value) for item in child.sequence()) for key, child in given},
        tuple(other for other in _needs(service) if other in providers),
        node.place,
    )


def _needs(service: Node) -> tuple[str, ...]:
    depends_on = service.get("depends_on")
    return tuple(depends_on.mapping()) if depends_on is not None else ()


def _without(service: Node, providers: Mapping[str, Node]) -> Node:
    depends_on = service.get("depends_on")
    named = [name for name in _needs(service) if name in providers]
    if depends_on is None or not named:
        return service
    others = {name: how for name, how in depends_on.mapping().items() if name not in providers}
    said = depends_on.with_value([depends_on.with_value(name) for name in named])
    return service.with_value({**service.mapping(), "depends_on": depends_on.with_value(others), "providers": said})


def _refuse_rings(services: Mapping[str, Node], providers: Mapping[str, Node], findings: Findings) -> None:
    """Of those that a provider is part of; the others are seen when the project is whole."""
    for name, service in providers.items():
        seen: set[str] = set()
        todo: list[tuple[str, tuple[str, ...]]] = [(other, (name, other)) for other in _needs(service)]
        while todo:
            at, way = todo.pop()
            if at == name:
                path: Path = ("services", name, "depends_on", way[1])
                findings.error(service.mapping()["depends_on"], path, f"a cycle: {' → '.join(way)}")
                return
            if at in services and at not in seen:
                seen.add(at)
                todo += [(other, (*way, other)) for other in _needs(services[at])]


def _in_order(providers: Mapping[str, Provider]) -> tuple[Provider, ...]:
    """Who is needed first, if none needs itself."""
    done: dict[str, Provider] = {}
    todo = [*providers.values()]
    while todo:
        ready = [each for each in todo if all(name in done for name in each.needs)] or todo
        done |= {each.name: each for each in ready}
        todo = [each for each in todo if each.name not in done]
    return tuple(done.values())
