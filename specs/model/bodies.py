"""What runs of the services of a canonical document: each of them, or its `replicas` where these differ (see `replicas`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from specs.errors import Path, SpecError

Json: TypeAlias = Mapping[str, Any]


def of_document(canonical: Json) -> Iterator[tuple[Path, Json]]:
    """Each with its path in the document."""
    for name, service in canonical.get("services", {}).items():
        replicas = service.get("replicas") or {}
        yield from ((("services", name, "replicas", number), body) for number, body in replicas.items())
        if not replicas:
            yield ("services", name), service


def changed(service: Json, change: Callable[[Json], Json]) -> dict[str, Any]:
    """A service after the change, and each of its replicas likewise."""
    own = dict(change(service))
    if isinstance(replicas := service.get("replicas"), dict):
        own["replicas"] = {
            number: change(body) if isinstance(body, dict) else body for number, body in replicas.items()
        }
    return own


def told_once(problems: Iterable[SpecError]) -> list[SpecError]:
    """Of what is wrong with several replicas in the same words only the first."""
    first: dict[tuple[Path, str], SpecError] = {}
    for problem in problems:
        path = problem.path
        plain = (*path[:2], *path[4:]) if path[0:1] == ("services",) and path[2:3] == ("replicas",) else path
        first.setdefault((plain, problem.message), problem)
    return list(first.values())
