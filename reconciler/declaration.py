"""From what is kept of a project to what is wanted: union of the file sets, overlay, leases, then every kind
declares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from engine.types.configs import ContainerConfig
from engine.types.infos import Look, Taken
from reconciler import leases, one_offs, slots
from reconciler.actual import ActualState, Seen
from reconciler.desired import DesiredState
from reconciler.kinds import catalogue
from reconciler.resource import Edge
from reconciler.slots import Slot
from reconciler.stored import MACHINE, Stored
from reconciler.wish import Wish
from specs import validate
from specs.errors import SpecErrors
from specs.model.project import Project


@dataclass(frozen=True)
class Declaration:
    """`stored`: to be kept from now on (with the leases just made); `desired`: for the loop; `project`: as
    validated; `seen`: what it was declared from, for the loop not to look at it again at once."""

    stored: Stored
    desired: DesiredState
    project: Project
    seen: Seen | None = None


def declare(stored: Stored, look: Look, taken: Taken, *, refuse_taken: bool = False) -> Declaration:
    """What is wanted of this project now. Pure; the same for the same arguments.

    `refuse_taken`: raise where the file names a subnet or a port that somebody else has now (for an `up`; without
    it the plan says so). Raises specs.errors.SpecErrors, and reconciler.errors.DeclareError: Conflict or Ring."""
    stored, project = _valid(stored, look)
    members = slots.of_project(project, stored.overlay.scale)
    assigned = leases.assign(project, members, stored.leases, taken, look)
    if refuse_taken:
        leases.refuse_taken(project, members, assigned, taken, look)
    had = [info.config for info in look.volumes if info.config.project == project.name]
    wish = Wish(
        project,
        members,
        assigned,
        stored.overlay,
        stored.asked,
        {info.config.name: info.config for info in look.networks if info.config.project != project.name},
        tuple(each for each in had if stored.purge or each.name in stored.purged),
        also_unused=stored.name == MACHINE or project.all_resources,
        leaving=tuple(_leaving(stored, project, members, look)),
    )
    resources = [resource for kind in catalogue.KINDS.values() for resource in kind.declare(wish)]
    desired = DesiredState.of(project.name, resources, stored.edges)
    known = ActualState.of(look, desired).keys() | desired.wanted.keys()
    purged = stored.purged & {each.name for each in had}
    kept = replace(stored, leases=assigned, edges=desired.edges_to_remember(known), purged=purged)
    return Declaration(kept, desired, project)


def _leaving(
    stored: Stored, project: Project, members: Mapping[str, tuple[Slot, ...]], look: Look
) -> Iterator[tuple[ContainerConfig, tuple[Edge, ...]]]:
    """Of services that say what comes before: the containers beyond their scale. Where a service is stopped, nothing does."""
    for info in look.containers:
        config, service = info.config, project.services.get(info.config.service)
        if service is None or service.x_corral.leave is None or config.service in stored.overlay.stopped:
            continue
        if config.project == project.name and config.number > len(members[config.service]):
            yield config, stored.edges.get(f"container:{config.slot}", ())


def _valid(stored: Stored, look: Look) -> tuple[Stored, Project]:
    """A one-off that has ended, and does not fit any more what the files say now, is nobody's concern: it goes."""
    try:
        return stored, _validated(stored)
    except SpecErrors as error:
        over = one_offs.ended(look.containers)
        if any(each.path[:1] != ("services",) or each.path[1] not in over for each in error.errors):
            raise
        stored = replace(stored, overlay=stored.overlay.without(str(each.path[1]) for each in error.errors))
        return stored, _validated(stored)


def _validated(stored: Stored) -> Project:
    canonical = dict(stored.overlay.over(stored.canonical()))
    if stored.name != MACHINE:
        return validate.project(canonical)
    return validate.project({**canonical, "name": "machine"}).model_copy(update={"name": MACHINE})
