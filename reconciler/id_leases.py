"""Which user and group ids a slot's user namespace has: a range of its own, chosen once, kept as long as it can be.

Ranges come from a part of the ids that nobody hands out: distributions give ranges to users from 100000 to 600100000
(login.defs, SUB_UID_MIN and SUB_UID_MAX), systemd its containers from 524288 to 1879048191, and it names what follows unused
(systemd, docs/UIDS-GIDS.md). What somebody has of it all the same is left out."""

import hashlib
from collections.abc import Iterator, Mapping

from engine.types.infos import Look, Taken
from engine.types.parts import IdRange
from reconciler.errors import Conflict
from reconciler.slots import Slot
from reconciler.slots import bodies as slot_bodies
from specs.canonical import isolation
from specs.model.project import Project

POOL = IdRange(0x70000000, 0x0FFE0000)
COUNT = POOL.length // isolation.IDS
REMEMBERED = 256
"""So many ranges of slots that nobody wants are remembered."""


def assign(
    project: Project, slots: Mapping[str, tuple[Slot, ...]], before: Mapping[str, int], taken: Taken, look: Look
) -> dict[str, int]:
    """Mapping from slot name to the first id of its range; what is in `before` stays where it can. Raises Conflict."""
    strangers = {number for ids, _ in taken.ids for number in _numbers(ids)}
    standing = {(info.config.slot, info.config.ids.first) for info in look.containers if info.config.ids}
    wanting = list(_wanting(project, slots))
    chosen: dict[str, int] = {}
    for _, slot in wanting:
        kept = before.get(slot.name)
        if kept is None or kept in chosen.values():
            continue
        if (slot.name, kept) in standing or _number(kept) not in strangers:
            chosen[slot.name] = kept
    had = strangers | {_number(first) for first in (*chosen.values(), *before.values())}
    free = (number for number in _all_from(project.name) if number not in had)
    for service_name, slot in wanting:
        if slot.name in chosen:
            continue
        if (number := next(free, None)) is None:
            raise Conflict(f"no {isolation.IDS} user ids are free for {slot.name}", ("services", service_name))
        chosen[slot.name] = POOL.first + number * isolation.IDS
    past = {name: first for name, first in before.items() if name not in chosen}
    return {**dict(list(past.items())[-REMEMBERED:]), **chosen}


def range_of(first: int) -> IdRange:
    return IdRange(first, isolation.IDS)


def _wanting(project: Project, slots: Mapping[str, tuple[Slot, ...]]) -> Iterator[tuple[str, Slot]]:
    for body, its_slots in slot_bodies(project, slots):
        if isolation.has_user_namespace(body.service):
            for slot in its_slots:
                yield body.name, slot


def _all_from(seed: str) -> Iterator[int]:
    """Each project begins elsewhere: two corrals on one machine learn of each other's a little late."""
    first = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) % COUNT
    return ((first + number) % COUNT for number in range(COUNT))


def _number(first: int) -> int:
    return (first - POOL.first) // isolation.IDS


def _numbers(ids: IdRange) -> range:
    """The ranges of the pool that these ids meet."""
    first, end = max(ids.first, POOL.first), min(ids.end, POOL.end)
    return range(_number(first), _number(end - 1) + 1) if first < end else range(0)
