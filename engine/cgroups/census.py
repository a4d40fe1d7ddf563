"""Who lives in the cgroups of this corral, whatever the records say: the kernel's own word on what runs, and of which project."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from engine.cgroups.driver import Driver
from engine.errors import EngineError


@dataclass(frozen=True, slots=True)
class Inhabited:
    """A container's cgroup. `pids`: who lives in it; none: it is kept for the next start."""

    project: str
    pids: frozenset[int]


def of(driver: Driver) -> dict[str, Inhabited]:
    """By the id of the container, as the cgroup is named: the first 12 digits of its uid."""
    found = dict[str, Inhabited]()
    for project, container in sorted(set(_named(driver))):
        try:
            found[container] = Inhabited(project, driver.pids(driver.paths(project, container)))
        except EngineError:  # no name of ours
            continue
    return found


def _named(driver: Driver) -> Iterator[tuple[str, str]]:
    roots = {root for _, root in driver.layout.v1} | ({driver.layout.v2_root} if driver.layout.v2 else set())
    for root in roots:
        top = os.path.join(root, driver.parent)
        for project in _directories(top):
            yield from ((project, container) for container in _directories(os.path.join(top, project)))


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
