"""Who lives in the cgroups of this corral, whatever the records say: the kernel's own word on what runs, and of which project."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.cgroups.driver import Driver
from engine.errors import EngineError

CONTAINER = re.compile(r"[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True)
class Inhabited:
    """A container's cgroup. `project` "": it is in one that the user named. `pids`: who lives in it; none: it is kept for the
    next start."""

    project: str
    pids: frozenset[int]


def of(driver: Driver) -> dict[str, Inhabited]:
    """By the id of the container, as the cgroup is named: the first 12 digits of its uid."""
    roots = {root for _, root in driver.layout.v1} | ({driver.layout.v2_root} if driver.layout.v2 else set())
    found = dict[str, Inhabited]()
    for group, container in sorted({place for root in roots for place in _below(os.path.join(root, driver.parent))}):
        try:
            pids = driver.pids(driver.paths(group, container))
        except EngineError:  # no name of ours
            continue
        found[container] = Inhabited("" if "/" in group else group, pids)
    return found


def _below(top: str) -> Iterator[tuple[str, str]]:
    """(group, container) of every container's cgroup; what one of them has made below its own is not looked at."""
    for folder, names, _ in os.walk(top):
        group = os.path.relpath(folder, top)
        for name in list(names):
            if group != "." and CONTAINER.match(name):
                names.remove(name)
                yield group, name
