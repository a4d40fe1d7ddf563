"""The slots of a service: what each of its replicas is called.

One slot has the service's own name. NAME-1 … NAME-n where the file gives `scale` or `replicas`. A `--scale` that
the file does not foresee leaves the first as it is and adds NAME-2 …, so that nothing that runs is made anew."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.errors import Conflict
from specs.composing import replicas
from specs.model.project import Body, Project

REPLICAS_MAX = replicas.MOST


@dataclass(frozen=True, slots=True)
class Slot:
    """`name` is used in ids (`container:NAME`); `number` counts from 1."""

    name: str
    service: str
    number: int


def of_service(name: str, file_scale: int | None, asked: int | None = None) -> tuple[Slot, ...]:
    """`file_scale` None: the file gives none. `asked`: by --scale."""
    count = asked if asked is not None else 1 if file_scale is None else file_scale
    first = name if file_scale is None else f"{name}-1"
    return tuple(Slot(first if number == 1 else f"{name}-{number}", name, number) for number in range(1, count + 1))


def of_project(project: Project, scale: Mapping[str, int]) -> dict[str, tuple[Slot, ...]]:
    """By service. Raises Conflict where a replica is called like another service's slot, or there are too many."""
    for name, service in project.services.items():
        if max(scale.get(name, 0), service.scale or 0) > REPLICAS_MAX:
            raise Conflict(f"more than {REPLICAS_MAX} replicas", ("services", name))
        if service.replicas and scale.get(name, 0) > len(service.replicas):
            message = f"what replica {len(service.replicas) + 1} of it is has not been said"
            raise Conflict(message, ("services", name), hint=f"`corral up --scale {name}={scale[name]}` says it")
    slots = {name: of_service(name, service.scale, scale.get(name)) for name, service in project.services.items()}
    owner: dict[str, str] = {}
    for slot in (slot for each in slots.values() for slot in each):
        if (other := owner.setdefault(slot.name, slot.service)) != slot.service:
            scaled, plain = sorted((slot.service, other), key=lambda name: name == slot.name)
            raise Conflict(
                f"its replica {slot.name} is called like a container of {plain}",
                ("services", scaled),
                hint="rename one of the two services",
            )
    return slots


def bodies(project: Project, slots: Mapping[str, tuple[Slot, ...]]) -> Iterator[tuple[Body, tuple[Slot, ...]]]:
    """What runs of each service, and the slots that it runs in: all of the service, or one where the replicas differ."""
    for name, service in project.services.items():
        if service.replicas:
            yield from ((project.body(name, slot.number), (slot,)) for slot in slots[name])
        else:
            yield project.body(name, 1), slots[name]
