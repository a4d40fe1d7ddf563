"""`x-corral: {on_change: WORD}` of a service: what becomes of its containers when a config, a secret or an env file has another
content; or `{on_change: {NAME: WORD}}` for some of them, by the names of configs and secrets, and `env_file`.

    recreate     a new container (unless given)
    restart      the same container, stopped and started again
    signal:HUP   the file is changed in it while it runs, and its process is told by this signal
    ignore       nothing now: it counts from its next start on
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from specs import signals
from specs.context import Context
from specs.errors import Path, SpecError, did_you_mean
from specs.node import Node

if TYPE_CHECKING:  # the command line reads files without pydantic
    from specs.model.project import Project

PATH = ("x-corral", "on_change")
RECREATE, RESTART, SIGNAL, IGNORE = "recreate", "restart", "signal", "ignore"
ENV_FILE = "env_file"
ALL = "*"


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    """A mapping; what is said of all stands under `*`."""
    if isinstance(node.value, dict):
        said = {name: child for name, child in node.value.items() if child.value is not None}
        return node.with_value(said) if said else None
    return node.with_value({ALL: node})


def word_of(said: Mapping[str, str], name: str) -> tuple[str, str]:
    """What counts for a config or secret of this name, or for `env_file`: the word, and the signal. A signal that is said of all
    is not said of env files: no process sees another environment."""
    kind, _, signal = said.get(name, said.get(ALL, RECREATE)).partition(":")
    return (RECREATE, "") if kind == SIGNAL and name == ENV_FILE else (kind, signal)


def problems(project: Project) -> Iterator[SpecError]:
    for service_name, service in project.services.items():
        bodies = [body.service for body in project.bodies_of(service_name)]
        names = {use.source for body in bodies for use in (*body.configs, *body.secrets)} | {ENV_FILE}
        for name, word in service.x_corral.on_change.items():
            path = ("services", service_name, *PATH, *((name,) if name != ALL else ()))
            if name not in names | {ALL}:
                message = f"{service_name} has no config or secret {name}"
                yield SpecError(path, message, hint=did_you_mean(name, sorted(names)))
            if why := _problem(word, is_variables=name == ENV_FILE):
                yield SpecError(path, why)


def _problem(word: str, *, is_variables: bool) -> str:
    kind, colon, signal = word.partition(":")
    if kind == SIGNAL and colon:
        if not signals.is_signal(signal):
            return f"'{signal}' is not a signal"
        return f"{word} is not for env files: a process never sees another environment" if is_variables else ""
    return "" if word in (RECREATE, RESTART, IGNORE) else f"'{word}' is not recreate, restart, signal:NAME or ignore"
