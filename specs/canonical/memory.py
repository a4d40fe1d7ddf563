"""`x-corral: {memory: guaranteed}`: what the limits of all services add up to must be there. Canonical form, and what it asks of
each service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from specs.context import Context
from specs.errors import Path, SpecError
from specs.node import Node

if TYPE_CHECKING:  # the command line reads files without pydantic
    from specs.model.project import Project

PATH: Path = ("x-corral", "memory")
GUARANTEED = "guaranteed"


def canonical(document: Node, context: Context) -> Node | None:
    """What is kept of the document's `x-corral`; None: nothing."""
    said, top = document.get(*map(str, PATH)), document.get("x-corral")
    if said is None or top is None:
        return None
    if said.value != GUARANTEED:
        context.findings.error(said, PATH, f"'{said.value}' is not supported: {GUARANTEED}, or leave it out")
        return None
    return top.with_value({"memory": said})


def problems(project: Project) -> Iterator[SpecError]:
    """Every service that may take all memory of the machine, where that is to be guaranteed."""
    for body in project.bodies() if project.x_corral.memory else ():
        if body.service.mem_limit is None:
            message = f"a mem_limit is missing, and x-corral.memory is {GUARANTEED}"
            yield SpecError(body.path, message, hint="say how much it may take")
