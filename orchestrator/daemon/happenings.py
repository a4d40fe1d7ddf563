"""What happened to the containers of a project, in docker's words: how a look differs from what is known. Pure.

No run is missed: the loop starts nothing again whose end it has not looked at, and what ended while no daemon lived is found by
the next one. Times of `create`, `start`, `die` and `stop` are those of the engine's records; of all others, when it was seen.
`oom`: the kernel has killed in the container for want of memory, which is known once it has ended.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.types.configs import ContainerConfig
from engine.types.infos import ContainerInfo, EndpointInfo, Look, State
from orchestrator.protocol import Happened

CREATED, RUNNING, PAUSED, EXITED = "created", "running", "paused", "exited"
UP = (RUNNING, PAUSED)
OURS = "com.docker.compose."  # docker compose leaves labels of this name out too
HEALTH = "health_status: "
STARTING = "starting"
"""Of a healthcheck; no event."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A container as far as it was told."""

    service: str
    attributes: Mapping[str, str]
    state: str = CREATED
    started_at: float = 0.0
    health: str = ""


@dataclass(slots=True)
class Known:
    """All that was told, folded: containers by uid, and the cables of each by (container, network), as their `connect`."""

    containers: dict[str, Thing] = field(default_factory=dict)
    cables: dict[tuple[str, str], Happened] = field(default_factory=dict)

    def note(self, event: Happened) -> None:
        """It was told."""
        if event.type == "network":
            key = event.attributes.get("container", ""), event.attributes.get("name", "")
            if event.action == "connect":
                self.cables[key] = event
            else:
                self.cables.pop(key, None)
        elif event.action == "destroy":
            self.containers.pop(event.id, None)
        elif event.action == "create":
            self.containers[event.id] = Thing(event.service, event.attributes)
        elif event.id in self.containers:
            self.containers[event.id] = after(self.containers[event.id], event)

    def summary(self) -> Iterator[Happened]:
        """Events from which all this follows."""
        for uid, thing in self.containers.items():

            def told(at: float, action: str, uid: str = uid, thing: Thing = thing) -> Happened:
                return Happened(at, "container", action, thing.service, uid, thing.attributes)

            yield told(thing.started_at, "create")
            if thing.started_at:
                yield told(thing.started_at, "start")
            if thing.health:
                yield told(thing.started_at, HEALTH + thing.health)
            if thing.state in (PAUSED, EXITED):
                yield told(thing.started_at, "pause" if thing.state == PAUSED else "die")
        yield from self.cables.values()


def service_of(config: ContainerConfig) -> str:
    return config.run_of or config.service


def after(thing: Thing, event: Happened) -> Thing:
    """What it is after one event of its own."""
    match event.action:
        case "start":
            return replace(thing, state=RUNNING, started_at=event.at, health="")
        case "die":
            return replace(thing, state=EXITED, health="")
        case "pause":
            return replace(thing, state=PAUSED)
        case "unpause":
            return replace(thing, state=RUNNING)
    if event.action.startswith(HEALTH):
        return replace(thing, health=event.action.removeprefix(HEALTH))
    return thing


def between(known: Known, look: Look, health: Mapping[str, str], now: float) -> list[Happened]:
    """What must have happened; in the order of time. Noted in `known`, the same look gives nothing more."""
    infos = {info.uid: info for info in look.containers if info.whole}
    found: list[Happened] = []
    for uid, info in infos.items():
        found += _of_container(info, known.containers.get(uid), health.get(uid, ""), now)
    for uid, thing in known.containers.items():
        found += _of_gone(uid, thing, now) if uid not in infos else ()
    found += _of_cables(known, _cables(infos, look.endpoints), now)
    return sorted(found, key=lambda each: each.at)


def of(info: ContainerInfo, action: str, at: float, **more: str) -> Happened:
    """An event of a container."""
    return Happened(at, "container", action, service_of(info.config), info.uid, attributes_of(info.config) | more)


def killed(info: ContainerInfo, signal: int, at: float) -> Happened:
    """A signal was sent to it on purpose."""
    return of(info, "kill", at, signal=str(signal))


def attributes_of(config: ContainerConfig) -> dict[str, str]:
    labels = {key: value for key, value in config.labels if not key.startswith(OURS)}
    return {**labels, "image": config.image, "name": config.name}


def _of_container(info: ContainerInfo, thing: Thing | None, health: str, now: float) -> Iterator[Happened]:
    if thing is None:
        yield of(info, "create", info.created_at)
        thing = Thing(service_of(info.config), {})
    if info.state is not State.RUNNING and info.started_at and not info.ended_at:
        return  # it is just being started
    is_same_run = thing.started_at == info.started_at
    is_up = info.state is State.RUNNING
    if thing.state in UP and not is_same_run:
        yield of(info, "die", info.started_at or now)  # how is not known any more
    elif thing.state in UP and not is_up:
        yield from _end(info, now)
    if info.started_at and not is_same_run:
        yield of(info, "start", info.started_at)
        thing = replace(thing, state=RUNNING, health="")
        if not is_up:
            yield from _end(info, now)
    if is_up and info.config.paused != (thing.state == PAUSED):
        yield of(info, "pause" if info.config.paused else "unpause", now)
    if is_up and health not in ("", STARTING, thing.health):
        yield of(info, HEALTH + health, now)


def _end(info: ContainerInfo, now: float) -> Iterator[Happened]:
    """Of the run that began at its `started_at`."""
    at = info.ended_at or now
    if info.oom:
        yield of(info, "oom", at)
    code = {} if info.code is None else {"exitCode": str(info.code)}
    yield of(info, "die", at, **code, execDuration=str(max(int(at - info.started_at), 0)))
    if info.state is State.MADE and info.code is not None:
        yield of(info, "stop", at)


def _of_gone(uid: str, thing: Thing, now: float) -> Iterator[Happened]:
    for action in ("die", "destroy") if thing.state in UP else ("destroy",):
        yield Happened(now, "container", action, thing.service, uid, thing.attributes)


def _cables(
    infos: Mapping[str, ContainerInfo], endpoints: tuple[EndpointInfo, ...]
) -> Mapping[tuple[str, str], tuple[ContainerInfo, EndpointInfo]]:
    """By container's uid and network's name."""
    by_sandbox = {info.config.sandbox: info for info in infos.values()}
    return {
        (info.uid, endpoint.config.network): (info, endpoint)
        for endpoint in endpoints
        if endpoint.whole and (info := by_sandbox.get(endpoint.config.sandbox))
    }


def _of_cables(
    known: Known, now_there: Mapping[tuple[str, str], tuple[ContainerInfo, EndpointInfo]], now: float
) -> Iterator[Happened]:
    for key, before in known.cables.items():
        if key not in now_there:
            yield before._replace(at=now, action="disconnect")
    for key, (info, endpoint) in now_there.items():
        if key not in known.cables:
            attributes = {"container": info.uid, "name": endpoint.config.network, "type": "bridge"}
            yield Happened(now, "network", "connect", service_of(info.config), endpoint.network_uid, attributes)
