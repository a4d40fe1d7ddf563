"""The one place where a canonical document becomes a Project. Runs in the daemon, which trusts nothing it is sent, and in
`config`. Errors have paths; whoever has the files adds positions (`SpecErrors.located`)."""

import json
from functools import lru_cache
from typing import Any

import pydantic

from specs.canonical import memory, namespaces, on_change, pages
from specs.checks import addresses, consistency, endpoints, names, published, stand_ins
from specs.errors import SpecError, SpecErrors
from specs.model import bodies
from specs.model.project import Project


def project(canonical: dict[str, Any]) -> Project:
    """The Project that the document describes. Raises SpecErrors with everything that is wrong with it."""
    return _project(json.dumps(canonical))


@lru_cache(maxsize=2)
def _project(text: str) -> Project:
    """Most often what was asked for last, and what it came to beside others, is asked for again: 0.1 ms a service."""
    try:
        found = Project.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise SpecErrors([_spec_error(details) for details in error.errors(include_url=False)]) from error
    problems = [
        *names.problems(found),
        *consistency.problems(found),
        *namespaces.problems(found),
        *stand_ins.problems(found),
        *addresses.problems(found),
        *endpoints.problems(found),
        *published.problems(found),
        *pages.problems(found),
        *on_change.problems(found),
        *memory.problems(found),
    ]
    if problems:
        raise SpecErrors(bodies.told_once(problems))
    resolved = stand_ins.resolved(found)
    if resolved is not found and (problems := [*names.problems(resolved)]):
        raise SpecErrors(bodies.told_once(problems))
    return resolved


def _spec_error(details: Any) -> SpecError:
    message = details["msg"]
    return SpecError(tuple(details["loc"]), message[:1].lower() + message[1:])
