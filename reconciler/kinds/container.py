"""A container: a process tree with its writable layer, in a sandbox.

It is made as soon as its image and volumes exist. Sandbox and endpoints gate every start, `depends_on` the first
one only (from *made*: never started, or stopped by us), so what crashed restarts at once. It stops when its sandbox
goes, and keeps its writable layer."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf

from engine.types.configs import Config, ContainerConfig
from engine.types.infos import ContainerInfo, Joined, Look, State
from engine.types.parts import Leave, VolumeMount
from reconciler import claims as claiming
from reconciler import difference, kind, restart, sharing
from reconciler.kind import Things
from reconciler.kinds import (
    container_config,
    container_contents,
    container_mounts,
    container_words,
    endpoint,
    image,
    init_steps,
    sandbox,
    volume,
)
from reconciler.resource import (
    PATIENCE,
    SAME,
    Blocked,
    Claim,
    Depth,
    Difference,
    Edge,
    Gates,
    Hold,
    Met,
    Needs,
    Observed,
    Resource,
    Step,
    Verb,
)
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.canonical import namespaces
from specs.model.service import Dependency, Service

name = "container"

CONDITIONS = {
    "service_started": Needs.STARTED,
    "service_healthy": Needs.HEALTHY,
    "service_completed_successfully": Needs.COMPLETED,
}  # compose-spec 05-services.md, depends_on


def id_of(slot_name: str) -> str:
    return f"container:{slot_name}"


# --------------------------------------------------------------------------------------------------------------- wanted


def declare(wish: Wish) -> Iterator[Resource]:
    for slot, service in wish.members():
        edges = tuple(edges_of(wish, slot, service))
        yield Resource(
            id_of(slot.name),
            container_config.of_slot(wish, slot, service),
            edges,
            Depth.STOP if wish.overlay.is_stopped(slot.service) else Depth.STAY,
            wish.asked.get(slot.service, 0.0),
        )
        if service.pre_start:
            yield from init_steps.declare(wish, slot, service, edges)
    for config, edges in wish.leaving:
        leave = wish.project.services[config.service].x_corral.leave
        if leave is not None:
            said = Leave(container_config.hook_of(leave), leave.timeout)
            yield Resource(id_of(config.slot), config, edges, Depth.GONE, leave=said)


def edges_of(wish: Wish, slot: Slot, service: Service) -> Iterator[Edge]:
    """What is made before it is leaves, or goes down with it, so that making before breaking cannot wait in a ring."""
    yield Edge(image.id_of(service.image))
    keys = volume.keys_of(wish, {1, slot.number})
    mounts = container_mounts.mounts_of(wish, slot)
    used = {keys[mount.volume] for mount in mounts if isinstance(mount, VolumeMount)}
    yield from (Edge(volume.id_of(key)) for key in sorted(used))
    owner = sharing.owner_of(wish, slot, "network_mode")
    yield Edge(sandbox.id_of(owner.name), gates=Gates.START, rigid=Depth.STOP)
    for key in sorted(wish.service_of(owner).networks):
        yield Edge(endpoint.id_of(owner.name, key), gates=Gates.START)
    needed = sharing.namespaces_of(wish, slot, service).others
    yield from (Edge(id_of(name), Needs.RUNNING, Gates.START, Depth.STOP) for name in needed)
    yield from map(init_steps.edge_to, init_steps.steps_before(wish, slot, service, len(service.pre_start)))
    for other, dependency in sorted(dependencies_of(wish.project.services[slot.service]).items()):
        for target in wish.slots.get(other, ()):
            if not (dependency.implied and target.name in needed):
                yield edge_to(target, dependency)


def dependencies_of(service: Service) -> dict[str, Dependency]:
    """`depends_on`, and what links and volumes_from imply. Links change in place, so they drag nobody."""
    givers = (text for text in service.volumes_from if not namespaces.container_of(text))
    implied = (text.partition(":")[0] for text in (*service.links, *givers))
    return {**{name: Dependency() for name in implied}, **service.depends_on}


def edge_to(target: Slot, dependency: Dependency) -> Edge:
    """One that a shared namespace implies drags nobody: whoever is in a sandbox needs that, and not its owner's process."""
    return Edge(
        id_of(target.name),
        CONDITIONS[dependency.condition],
        Gates.FIRST_START,
        Depth.STOP if dependency.restart and not dependency.implied else Depth.STAY,
        dependency.required,
    )


# -------------------------------------------------------------------------------------------------------------- observed


def observe(look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
    return (observed(info) for info in look.containers)


def observed(info: ContainerInfo, health: str = "") -> Observed:
    runs = info.state is State.RUNNING
    holds = [Hold(image.id_of(info.config.image), info.image_uid)]
    if runs:
        holds.append(Hold(sandbox.id_of(info.config.sandbox), info.sandbox_uid, Depth.STOP))
        holds += (Hold(id_of(it.slot), it.uid, Depth.STOP, run_of(it.started_at)) for it in info.joined)
    run = run_of(info.started_at) if runs else ""
    return Observed(id_of(info.config.slot), info, tuple(holds), info.state, health if runs else "", run)


def run_of(started_at: float) -> str:
    return f"since {started_at}"


def info_of(have: Observed) -> ContainerInfo:
    assert isinstance(have.info, ContainerInfo)
    return have.info


def has_had_its_run(info: ContainerInfo) -> bool:
    """A one-off that has been started: it is not made anew, and what has ended it does not start it again."""
    return bool(info.config.run_of and info.started_at)


def compare(want: Resource, have: Observed, things: Things) -> Difference:
    info = info_of(have)
    if has_had_its_run(info):
        return SAME
    assert isinstance(want.config, ContainerConfig)
    contents, rest = container_contents.between(info.config, want.config, runs=have.runs)
    found = difference.both(contents, difference.between(rest, want.config, container_words.WORDS))
    found = kind.with_drift(found, info.drift)
    made_of = things.get(image.id_of(info.config.image))
    if made_of and made_of.whole and made_of.uid != info.image_uid:
        found = replace(found, replace=(*found.replace, f"{made_of.id} is newer"))
    if have.state is not State.MADE and (step := init_steps.not_run(want, things)):
        return replace(found, replace=(*found.replace, f"{step} comes before it"))
    return found


# ------------------------------------------------------------------------------------------------------------ what next


def step_up(want: Resource, have: Observed | None, now: float) -> Step | Blocked | None:
    if have is None:
        return kind.create(want, "is not there")
    info = info_of(have)
    if not have.whole or have.runs or want.depth or has_had_its_run(info):
        return None
    if have.state is State.MADE:
        return start(have, "was stopped" if info.started_at else "has not run yet", first=True)
    asked_again = info.ended_at < want.asked
    if info.code != 0 and not info.lost and asked_again:
        return start(have, f"{restart.exit_of(info)}, and is asked for again", first=True)
    verdict = restart.verdict(info, now)
    if verdict.at == inf:
        return None if info.code == 0 else Blocked(want.id, Verb.START, why=verdict.why)
    if now < verdict.at:
        return Blocked(want.id, Verb.START, why=verdict.why, until=verdict.at, hope=info.hasty < PATIENCE)
    is_step = info.config.number == init_steps.NUMBER  # it has not done its work, and needs for that what it needed
    return start(have, verdict.why, first=is_step or (asked_again and not info.lost))


def start(have: Observed, because: str, *, first: bool) -> Step:
    gates = (Gates.START, Gates.FIRST_START) if first else (Gates.START,)
    return Step(have.id, Verb.START, because, have.uid, have.config, gates=gates)


def step_down(have: Observed, depth: Depth) -> Step | None:
    """A planned stop leads back to *made*: no exit of its own, no policy is asked. What has exited is as far down as STOP
    goes: the engine's stop does nothing to it."""
    if have.whole and have.runs:
        return Step(have.id, Verb.STOP, uid=have.uid)
    return kind.remove(have) if depth >= Depth.GONE else None


def claims(config: Config) -> tuple[Claim, ...]:
    assert isinstance(config, ContainerConfig)
    data = {m.volume for m in config.mounts if isinstance(m, VolumeMount) and not m.read_only}
    return (
        claiming.container_name(config.name),
        *((claiming.user_ids(config.ids),) if config.ids and config.sandbox == config.slot else ()),
        *(claiming.host_port(port) for port in config.ports),
        *(claiming.data_of(volume) for volume in sorted(data)),
        *lives_of(config),
    )


def lives_of(config: ContainerConfig) -> tuple[Claim, ...]:
    """What a step of `pre_start` has for itself, and a container shares with its likes."""
    if config.number == init_steps.NUMBER:
        return (claiming.life_of(config.slot.partition("/")[0], is_alone=True),)
    return tuple(claiming.life_of(name, is_alone=False) for name in sorted({config.service, config.slot}))


def release(want: Resource, have: Observed) -> Step | None:
    assert isinstance(want.config, ContainerConfig)
    had = info_of(have).config.ports
    kept = tuple(port for port in had if port in want.config.ports)
    return Step(have.id, Verb.RELEASE, uid=have.uid, ports=kept) if have.runs and kept != had else None


# ------------------------------------------------------------------------------------------------------ what others need


def meets(have: Observed, needs: Needs) -> Met:
    info = info_of(have)
    match needs:
        case Needs.EXISTS:
            return kind.ALWAYS
        case Needs.STARTED:
            return is_started(have, info)
        case Needs.RUNNING:
            return Met(have.runs, restart.exit_of(info) if have.state is State.EXITED else "is not started")
        case Needs.HEALTHY:
            return is_healthy(have, info)
        case Needs.COMPLETED:
            if has_had_its_run(info) and not have.runs:
                return kind.ALWAYS
            if have.state is State.EXITED:
                return Met(info.code == 0, restart.exit_of(info))
            return Met(False, "is not completed", hope=have.runs)


def is_started(have: Observed, info: ContainerInfo) -> Met:
    """With its `post_start`, if it has any."""
    if have.state is State.MADE:
        return Met(False, "is not started")
    if info.hooked:
        return kind.ALWAYS
    return Met(False, "its post_start runs" if have.runs else restart.exit_of(info), hope=have.runs)


def is_healthy(have: Observed, info: ContainerInfo) -> Met:
    """Without a healthcheck, to run is to be healthy; nobody waits for that of a one-off. No answer yet is "starting"."""
    if have.runs and not info.hooked:
        return is_started(have, info)
    if not have.runs:
        return Met(False, restart.exit_of(info) if have.state is State.EXITED else "is not started")
    if info.config.healthcheck is None or info.config.run_of or have.health == "healthy":
        return kind.ALWAYS
    health = have.health or "starting"
    return Met(False, f"is {health}", hope=health == "starting")


# ------------------------------------------------------------------------------------------------------------ foretold


def predict(step: Step, have: Observed | None, things: Things, now: float, uid: str) -> Observed | None:
    if step.verb is Verb.REMOVE:
        return None
    if step.verb is Verb.CREATE or have is None:
        return made(step, things, now, uid)
    info = info_of(have)
    match step.verb:
        case Verb.UPDATE:
            assert isinstance(step.config, ContainerConfig)
            return observed(replace(info, config=step.config, drift=()), have.health)
        case Verb.RELEASE:
            return observed(replace(info, config=replace(info.config, ports=step.ports)), have.health)
        case Verb.STOP:
            return observed(
                replace(info, state=State.MADE, sandbox_uid="", pid=0, hasty=0, restarts=0, attempts=0, joined=())
            )
        case _:
            return started(info, things, now)


def made(step: Step, things: Things, now: float, uid: str) -> Observed:
    assert isinstance(step.config, ContainerConfig)
    made_of = things.get(image.id_of(step.config.image))
    return observed(ContainerInfo(step.config, uid, made_of.uid if made_of else "", created_at=now))


def started(info: ContainerInfo, things: Things, now: float) -> Observed:
    box = things.get(sandbox.id_of(info.config.sandbox))
    is_again = info.state is State.EXITED
    counted = info.config.restart.still_counting(info.attempts, restart.lived_s(info)) if is_again else 0
    running = replace(
        info,
        state=State.RUNNING,
        sandbox_uid=box.uid if box else "",
        started_at=now,
        lost=False,
        hooked=True,
        restarts=info.restarts + (is_again and not info.lost),
        attempts=counted + (is_again and not info.lost),
        joined=tuple(joined(info, things)),
    )
    return observed(running, "healthy" if info.config.healthcheck else "")


def joined(info: ContainerInfo, things: Things) -> Iterator[Joined]:
    """The runs of others that it is in when it starts now."""
    for name in info.config.namespaces.others:
        if (other := things.get(id_of(name))) and other.runs:
            yield Joined(name, other.uid, info_of(other).started_at)


def hoped(have: Observed, needs: Needs, now: float) -> Observed:
    info = replace(info_of(have), hooked=True)
    if needs is Needs.COMPLETED:
        return observed(replace(info, state=State.EXITED, code=0, ended_at=now, sandbox_uid="", joined=()))
    return observed(info, "healthy")
