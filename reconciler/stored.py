"""A project as it is kept between commands: what each file set last said, what commands said beside it, and what
must not be forgotten (leases, the edges of what is leaving).

A command makes a new Stored from the old one; nothing else happens here. `declaration.declare` turns it into what
is wanted."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from engine.types.infos import ContainerInfo
from engine.types.parts import VolumeMount
from reconciler import asking
from reconciler.asking import Orphans, Recreate, refuse_unknown, with_needed
from reconciler.errors import DeclareError
from reconciler.leases import Leases
from reconciler.one_offs import OneOff
from reconciler.overlay import UPDATABLE, Json, Overlay, key_of
from reconciler.resource import Depth, Edge, Gates, Needs

MACHINE = "_machine"
"""The project of what belongs to none: networks and volumes that were made by a command. No user's project can be called so."""

ONLY_OURS, ALL_RESOURCES = "x-corral", "all_resources"


@dataclass(frozen=True, slots=True)
class Part:
    """What one file set last said: `files` are its absolute paths, `canonical` is the loaded mapping."""

    files: tuple[str, ...]
    canonical: Json

    def shares_a_file_with(self, files: Iterable[str]) -> bool:
        return not set(self.files).isdisjoint(files)


@dataclass(frozen=True, slots=True)
class Stored:
    """`asked`: when the last `up` (or `start`) asked for a service, seconds since the epoch. `edges`: of every
    resource, as of when it was last wanted. `purge`: `down -v` was said and nothing since: the project's volumes
    are to go too; `purged`: the full names of anonymous ones that are to go in any case."""

    name: str
    parts: tuple[Part, ...] = ()
    overlay: Overlay = field(default_factory=Overlay)
    asked: Mapping[str, float] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)
    edges: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    purge: bool = False
    purged: frozenset[str] = frozenset()

    # ------------------------------------------------------------------------------------------------- reading

    def canonical(self) -> dict[str, Any]:
        """The union of all parts, the last one wins; ready for `specs.validate.project`."""
        union: dict[str, Any] = {"name": self.name}
        for section in asking.SECTIONS:
            union[section] = {
                key: value for part in self.parts for key, value in part.canonical.get(section, {}).items()
            }
        if any(part.canonical.get(ALL_RESOURCES) for part in self.parts):
            union[ALL_RESOURCES] = True
        said = {key: value for part in self.parts for key, value in part.canonical.get(ONLY_OURS, {}).items()}
        return {**union, ONLY_OURS: said} if said else union

    def wanted(self) -> Json:
        """What the files and the commands said: with the one-offs."""
        return self.overlay.over(self.canonical())

    @property
    def services(self) -> tuple[str, ...]:
        """The names of all that are wanted, stopped ones too."""
        return tuple(self.canonical()["services"])

    def orphans(self, files: Iterable[str]) -> tuple[str, ...]:
        """Services that only other file sets declare: they stay wanted, and are worth a word to the user."""
        files = tuple(files)
        mine = {
            name for part in self.parts if part.shares_a_file_with(files) for name in part.canonical.get("services", {})
        }
        return tuple(name for name in self.services if name not in mine)

    def anonymous_of(self, containers: Iterable[ContainerInfo]) -> tuple[str, ...]:
        """The full names of the anonymous volumes that these containers have."""
        ours = frozenset(self.leases.volumes.values())
        mounts = (mount for info in containers for mount in info.config.mounts)
        return tuple(mount.volume for mount in mounts if isinstance(mount, VolumeMount) and mount.volume in ours)

    # ------------------------------------------------------------------------------------------------ commands

    def up(
        self,
        files: Iterable[str],
        canonical: Json,
        now: float,
        *,
        services: Iterable[str] = (),
        no_deps: bool = False,
        scale: Mapping[str, int] | None = None,
        recreate: Recreate = Recreate.CHANGED,
        renew_volumes: bool = False,
        start: bool = True,
        orphans: Orphans = Orphans.OURS,
        inactive: Iterable[str] = (),
    ) -> "Stored":
        """`up [SERVICE…]`. With services: these (and, unless `no_deps`, what they need) are replaced, the others
        stay as they were last said, or unsaid. What this file set said before and says no longer is not wanted, but for
        services that are `inactive` now: these stay, too. `renew_volumes`: with new anonymous volumes. `start`: what does not
        run yet is to run. Raises DeclareError."""
        files, named = tuple(files), tuple(services)
        refuse_unknown(canonical, (*named, *(scale or {})))
        canonical = asking.provided_as_before(canonical, self.canonical())
        asked = tuple(canonical.get("services", {})) if not named else with_needed(canonical, named, no_deps=no_deps)
        stays = asking.staying(canonical, inactive, orphans, is_whole=not named)
        said = self._part(files, canonical, asked, stays=stays, as_it_is=recreate is Recreate.NEVER)
        overlay = self.overlay.asked_up(asked, scale or {}, named or asked)
        if not start:
            running = frozenset(self.services) - self.overlay.stopped
            overlay = overlay.with_stopped(frozenset(asked) - running)
        return replace(
            self,
            parts=(*(() if orphans is Orphans.REMOVE else self._others(files)), said),
            overlay=overlay.with_new(asking.made_anew(recreate, asked, named)),
            asked={**self.asked, **dict.fromkeys(asked, now)},
            leases=self.leases.without_volumes(asked, {*self.services, *asked}) if renew_volumes else self.leases,
            purge=False,
        )

    def _part(
        self, files: tuple[str, ...], canonical: Json, asked: Iterable[str], *, stays: Set[str] | None, as_it_is: bool
    ) -> Part:
        before = tuple(part.canonical for part in self.parts if part.shares_a_file_with(files))
        return Part(files, asking.said(before, canonical, asked, stays=stays, as_it_is=as_it_is))

    def _others(self, files: tuple[str, ...]) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if not part.shares_a_file_with(files))

    def run(
        self, files: Iterable[str], canonical: Json, now: float, name: str, run: OneOff, *, no_deps: bool = False
    ) -> "Stored":
        """`run SERVICE`: a one-off called `name`, and what it needs, which is replaced as by `up`. Raises DeclareError."""
        files = tuple(files)
        refuse_unknown(canonical, (run.service,))
        canonical = asking.provided_as_before(canonical, self.canonical())
        needed = () if no_deps else with_needed(canonical, (run.service,), no_deps=False)
        asked = tuple(each for each in needed if each != run.service)
        return replace(
            self,
            parts=(*self._others(files), self._part(files, canonical, asked, stays=None, as_it_is=False)),
            overlay=self.overlay.asked_up(asked, {}, ()).with_run(name, run),
            asked={**self.asked, **dict.fromkeys(asked, now)},
            purge=False,
        )

    def without_orphans(self, files: Iterable[str]) -> "Stored":
        """What only other file sets declare is not wanted any more."""
        return replace(self, parts=tuple(part for part in self.parts if part.shares_a_file_with(files)))

    def start_run(self, name: str) -> "Stored":
        """The one-off may start. Raises DeclareError."""
        if name not in self.overlay.runs:
            raise DeclareError(f"no one-off is called {name}", hint="`corral ps -a` lists them")
        return replace(self, overlay=self.overlay.with_run(name, self.overlay.runs[name].started()))

    def remove(self, services: Iterable[str], *, volumes: Iterable[str] = ()) -> "Stored":
        """`rm`: these services, and one-offs, are not wanted until `up` or `create` says so again. `volumes`: full names of
        anonymous ones that go with them. A project of which nothing is left is down."""
        gone = frozenset(services)
        left = frozenset(self.services) - gone
        overlay = self.overlay.without(gone)
        if not left and not overlay.runs:
            return replace(self.down(), purged=self.purged | frozenset(volumes))
        return replace(
            self,
            parts=tuple(Part(part.files, asking.without(part.canonical, gone)) for part in self.parts),
            overlay=overlay,
            leases=self.leases.without_volumes(gone, {*self.services, *self.overlay.runs}),
            purged=self.purged | frozenset(volumes),
        )

    def down(self, files: Iterable[str] | None = None, *, purge: bool = False) -> "Stored":
        """`down` of one file set; None: of all. `purge`: the project's volumes go too, once nothing of it is wanted."""
        files = None if files is None else tuple(files)
        parts = tuple(part for part in self.parts if files is not None and not part.shares_a_file_with(files))
        if parts:
            return replace(self, parts=parts)
        leases = replace(self.leases, volumes={})  # who comes after a `down` is nobody's successor
        return replace(self, parts=(), overlay=Overlay(), asked={}, leases=leases, purge=purge)

    def stop(self, services: Iterable[str] = ()) -> "Stored":
        """`stop [SERVICE…]`, and `kill`: wanted, but not running, also after a restart of the daemon. None named:
        all."""
        return replace(self, overlay=self.overlay.with_stopped(self._named(services)))

    def start(self, services: Iterable[str], now: float) -> "Stored":
        """`start [SERVICE…]`: what was stopped, and what exited with an error, runs again. None named: all."""
        named = self._named(services)
        return replace(
            self, overlay=self.overlay.with_started(named), asked={**self.asked, **dict.fromkeys(named, now)}
        )

    def loosened(self) -> "Stored":
        """Where what depends on something does not stop with it (`depends_on … restart: true`): `restart --no-deps`."""
        parts = tuple(Part(part.files, asking.without_restarts(part.canonical)) for part in self.parts)
        return replace(self, parts=parts)

    def pause(self, services: Iterable[str]) -> "Stored":
        """`pause`: these stand still while they run, until `unpause`, `up`, `stop` or `down`. None named: none."""
        named = tuple(services)
        refuse_unknown(self.canonical(), named)
        return replace(self, overlay=self.overlay.with_paused(named))

    def unpause(self, services: Iterable[str] = ()) -> "Stored":
        """`unpause [SERVICE…]`: these go on. None named: all."""
        return replace(self, overlay=self.overlay.with_unpaused(self._named(services)))

    def update(self, services: Iterable[str], changes: Json) -> "Stored":
        """`update SERVICE…`: these values count instead of the file's, until `up` of the service or `down`. Raises
        DeclareError for what cannot be changed so."""
        named = tuple(services)
        refuse_unknown(self.canonical(), named)
        for key in changes:
            if key not in UPDATABLE:
                raise DeclareError(f"cannot update {key}", hint=f"what can be updated: {', '.join(UPDATABLE)}")
        return replace(self, overlay=self.overlay.with_updates(named, changes))

    def connect(self, service: str, network: str, joined: Json) -> "Stored":
        """`network connect`: joined to the network of this full name, until `up` of the service or `down`. Raises
        DeclareError."""
        if self._is_joined(service, network):
            raise DeclareError(f"service {service} is in network {network} already")
        return replace(self, overlay=self.overlay.with_connection(service, network, joined))

    def disconnect(self, service: str, network: str) -> "Stored":
        """`network disconnect`: not joined to it, until `up` of the service or `down`. Raises DeclareError."""
        if not self._is_joined(service, network):
            raise DeclareError(f"service {service} is not in network {network}")
        return replace(self, overlay=self.overlay.with_connection(service, network, None))

    def hosts(self, on: bool) -> "Stored":
        """`hosts on` and `off`: this machine's own programs find the containers by name, until `off` or `down`."""
        return replace(self, overlay=replace(self.overlay, hosts=on))

    def _is_joined(self, service: str, network: str) -> bool:
        refuse_unknown(self.canonical(), (service,))
        wanted = self.overlay.over(self.canonical())
        said = wanted["services"][service]
        every = (said, *said.get("replicas", {}).values())
        return any(key_of(wanted, network) in body.get("networks", {}) for body in every)

    def with_shared(self, section: str, name: str, settings: Json | None) -> "Stored":
        """Of MACHINE: with this network or volume ("networks", "volumes"); None: without it."""
        said = {each: dict(self.canonical()[each]) for each in asking.SECTIONS}
        if settings is None:
            said[section].pop(name, None)
        else:
            said[section][name] = {**settings, "name": name}
        is_empty = not any(said.values())
        return replace(self, parts=() if is_empty else (Part((), {"name": self.name, **said}),))

    def _named(self, services: Iterable[str]) -> tuple[str, ...]:
        named = tuple(services)
        refuse_unknown(self.canonical(), named)
        return named or self.services

    # ------------------------------------------------------------------------------------------------- keeping

    def to_json(self) -> dict[str, Any]:
        """JSON-able, and `from_json(to_json())` is equal."""
        return {
            "name": self.name,
            "parts": [{"files": list(part.files), "canonical": part.canonical} for part in self.parts],
            "overlay": self.overlay.to_json(),
            "asked": dict(self.asked),
            "leases": self.leases.to_json(),
            "edges": {
                resource_id: [_edge_to_json(edge) for edge in edges] for resource_id, edges in self.edges.items()
            },
            "purge": self.purge,
            "purged": sorted(self.purged),
        }

    @classmethod
    def from_json(cls, value: Json) -> "Stored":
        return cls(
            value["name"],
            tuple(Part(tuple(part["files"]), part["canonical"]) for part in value["parts"]),
            Overlay.from_json(value["overlay"]),
            dict(value["asked"]),
            Leases.from_json(value["leases"]),
            {
                resource_id: tuple(_edge_from_json(edge) for edge in edges)
                for resource_id, edges in value["edges"].items()
            },
            value["purge"],
            frozenset(value.get("purged", ())),
        )


def _edge_to_json(edge: Edge) -> list[Any]:
    return [edge.to, edge.needs.name, edge.gates.name, edge.rigid.name, edge.required]


def _edge_from_json(value: list[Any]) -> Edge:
    to, needs, gates, rigid, required = value
    return Edge(to, Needs[needs], Gates[gates], Depth[rigid], required)
