"""What is damaged, and whose it may be: found out from what can still be read, so that nothing is done to it or beside it.

A guess may hold up one project too many. It never has anything done: that needs a record that is sound.
"""

import json
import re
from collections.abc import Iterable

from engine import errors
from engine.records import trusted
from engine.types.configs import ContainerConfig
from engine.types.infos import Damage
from engine.types.parts import VolumeMount

_PROJECT = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")
CLAIM_BYTES_MAX = 1 << 20


def of(projects: Iterable[str]) -> frozenset[str]:
    """Those that are names at all."""
    return frozenset(name for name in projects if _PROJECT.match(name))


def claimed_by(path: str) -> set[str]:
    """The project that a record which is not believed says it is of."""
    try:
        text = trusted.content(path, CLAIM_BYTES_MAX).decode(errors="replace")
    except (OSError, errors.RecordError):
        return set()
    try:
        said = json.loads(text)["config"]["project"]
        return {said} if isinstance(said, str) else set()
    except (ValueError, KeyError, TypeError, RecursionError):
        return set(re.findall(r'"project":"([^"]+)"', text)[:1])


def concerning(found: Iterable[Damage], project: str) -> tuple[Damage, ...]:
    return tuple(each for each in found if project in each.projects)


def words(found: Iterable[Damage]) -> str:
    """All of it in a sentence."""
    return "; ".join(f"{each.words} ({each.way_out})" if each.way_out else each.words for each in found)


def holders(containers: Iterable[ContainerConfig], volume: str) -> set[str]:
    """The projects that have a container with the volume."""
    return {
        config.project
        for config in containers
        if any(isinstance(mount, VolumeMount) and mount.volume == volume for mount in config.mounts)
    }
