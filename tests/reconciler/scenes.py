"""A project on a stage: say what is wanted, see the plan as text, let it come true, and hit things."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from engine.types.infos import (
    ContainerInfo,
    EndpointInfo,
    ImageInfo,
    Info,
    Look,
    NetworkInfo,
    SandboxInfo,
    State,
    Taken,
    VolumeInfo,
)
from reconciler import claims, declaration, forecast, render
from reconciler.actual import ActualState
from reconciler.desired import DesiredState
from reconciler.forecast import Forecast
from reconciler.resource import Observed
from reconciler.stored import Stored

T = TypeVar("T", bound=Info)
FILES = ("/p/compose.yaml",)
Mapped = dict[str, Any]


def service(**fields: Any) -> Mapped:
    """A canonical service: image `host`, on the network `lab`, unless said otherwise."""
    networks = fields.pop("networks", ("lab",))
    joined = {key: {} for key in networks} if isinstance(networks, tuple) else dict(networks)
    if fields.get("network_mode"):
        joined = {}
    return {"image": "host", "networks": joined, **fields}


def project(services: Mapping[str, Mapped], *, name: str = "p", networks: Any = None, volumes: Any = None) -> Mapped:
    """A canonical project; networks and volumes that its services use and nobody describes are plain."""
    keys = sorted({key for one in services.values() for key in one["networks"]})
    mounts = [mount for one in services.values() for mount in one.get("volumes", ()) if mount["type"] == "volume"]
    return {
        "name": name,
        "services": dict(services),
        "networks": {key: {"name": f"{name}_{key}", **(networks or {}).get(key, {})} for key in keys},
        "volumes": {
            key: {"name": f"{name}_{key}", **(volumes or {}).get(key, {})}
            for key in sorted({mount["source"] for mount in mounts})
        },
    }


def subnet(value: str, **more: Any) -> Mapped:
    return {"ipam": {"config": [{"subnet": value, **more}]}}


def static(address: str) -> Mapped:
    return {"lab": {"ipv4_address": address}}


def port(published: str, target: int = 80, **more: Any) -> Mapped:
    return {"target": target, "published": published, **more}


def volume(source: str, target: str = "/data", **more: Any) -> Mapped:
    return {"type": "volume", "source": source, "target": target, **more}


def needs(condition: str = "service_started", **more: Any) -> Mapped:
    return {"condition": condition, **more}


CHECKED = {"test": ["CMD", "true"]}


class Scene:
    """What is stored of one project, and what exists of it. Time passes only by `wait`."""

    def __init__(self, name: str = "p") -> None:
        self.stored = Stored(name)
        self.desired = DesiredState(name)
        self.things: dict[str, Observed] = {}
        self.foreign: list[NetworkInfo | VolumeInfo] = []
        self.taken = Taken()
        self.now = 1000.0
        self._made = 0

    def look(self) -> Look:
        infos = [*(have.info for have in self.things.values()), *self.foreign]

        def of(sort: type[T]) -> tuple[T, ...]:
            return tuple({info.uid: info for info in infos if isinstance(info, sort)}.values())

        return Look(
            of(ImageInfo), of(VolumeInfo), of(NetworkInfo), of(SandboxInfo), of(EndpointInfo), of(ContainerInfo)
        )

    def say(self, stored: Stored, *, refuse_taken: bool = False) -> "Scene":
        declared = declaration.declare(stored, self.look(), self.taken, refuse_taken=refuse_taken)
        self.stored, self.desired = declared.stored, declared.desired
        return self

    def up(self, canonical: Mapped, *, files: tuple[str, ...] = FILES, **options: Any) -> "Scene":
        return self.say(self.stored.up(files, canonical, self.now, **options))

    def seen(self) -> dict[str, Observed]:
        healths = {have.uid: have.health for have in self.things.values()}
        return ActualState.of(self.look(), self.desired, healths).things

    def forecast(self) -> Forecast:
        elsewhere = claims.elsewhere(self.taken, self.look(), self.stored.name)
        return forecast.preview(self.desired, self.seen(), now=self.now, elsewhere=elsewhere)

    def plan(self) -> str:
        """What `corral plan` says."""
        return render.text(self.forecast())

    def steps(self) -> str:
        return render.steps_text(self.forecast().steps)

    def come_true(self) -> "Scene":
        """Everything foretold is done; each thing made has a uid that no other ever had."""
        self.things, told = self.seen(), self.forecast()
        for step in told.steps:
            self._made += 1
            self.now += 0.001
            forecast.perform(step, self.things, self.now, f"{step.id}#{self._made}")
        self.now += 100
        return self

    def hit(self, resource_id: str, change: Callable[[Any], Info] | None = None, **fields: Any) -> "Scene":
        """Something happens to it by itself; without words for what, it is gone."""
        if not change and not fields:
            del self.things[resource_id]
            return self
        have = self.things[resource_id]
        info = change(have.info) if change else replace(have.info, **fields)
        self.things[resource_id] = replace(have, info=info)
        self.things = self.seen()
        return self

    def exit(self, resource_id: str, code: int | None, **fields: Any) -> "Scene":
        more: Mapped = {"state": State.EXITED, "code": code, "ended_at": self.now, "sandbox_uid": "", **fields}
        return self.hit(resource_id, **more)

    def uids(self) -> dict[str, tuple[str, str]]:
        """What is the same thing, and whether it runs on as it was."""
        return {have.id: (have.uid, str(getattr(have.info, "started_at", ""))) for have in self.things.values()}
