"""Names of anonymous volumes: chosen by us, kept for a container's successor."""

import hashlib
from collections.abc import Container, Mapping
from itertools import count

from engine.types.infos import Look
from reconciler.slots import Slot
from reconciler.slots import bodies as slot_bodies
from specs.model.project import Project


def volume_key(slot: Slot, target: str) -> str:
    return f"{slot.name} {target}"


def service_of(key: str, services: Container[str]) -> str:
    """The one of these services that a `volume_key` is of: its slot is called like it, or like it with a number; "": none."""
    slot = key.partition(" ")[0]
    stem, _, number = slot.rpartition("-")
    return slot if slot in services else stem if number.isdecimal() and stem in services else ""


def assign(
    project: Project, slots: Mapping[str, tuple[Slot, ...]], before: Mapping[str, str], look: Look
) -> dict[str, str]:
    """What a container had is its successor's, too; but after a `down` nobody is one, and the new ones are empty."""
    standing = {info.config.name for info in look.volumes} | {volume.name for volume in project.volumes.values()}
    chosen = {key: volume for key, volume in before.items() if volume in standing}
    for body, its_slots in slot_bodies(project, slots):
        for slot in its_slots:
            for mount in body.service.volumes:
                key = volume_key(slot, mount.target)
                if mount.type == "volume" and not mount.source and key not in chosen:
                    free = _free_name(f"{project.name}_{slot.name}", key, standing | set(chosen.values()))
                    chosen[key] = before.get(key, free)
    return chosen


def _free_name(stem: str, seed: str, had: set[str]) -> str:
    names = (f"{stem}-{hashlib.sha256(f'{seed} {number}'.encode()).hexdigest()[:12]}" for number in count())
    return next(name for name in names if name not in had)
