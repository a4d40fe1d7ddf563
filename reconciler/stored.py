"""A project as it is kept between commands: what each file set last said, what commands said beside it, and what
must not be forgotten (leases, the edges of what is leaving).

A command makes a new Stored from the old one; nothing else happens here. `declaration.declare` turns it into what
is wanted."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.errors import DeclareError
from reconciler.leases import Leases
from reconciler.overlay import UPDATABLE, Json, Overlay, key_of
from reconciler.resource import Depth, Edge, Gates, Needs
from specs import bodies, namespaces

MACHINE = "_machine"
"""The project of what belongs to none: networks and volumes that were made by a command. No user's project can be called so."""

SECTIONS = ("services", "networks", "volumes", "configs", "secrets")


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
    are to go too."""

    name: str
    parts: tuple[Part, ...] = ()
    overlay: Overlay = field(default_factory=Overlay)
    asked: Mapping[str, float] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)
    edges: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    purge: bool = False

    # ------------------------------------------------------------------------------------------------- reading

    def canonical(self) -> dict[str, Any]:
        """The union of all parts, the last one wins; ready for `specs.validate.project`."""
        union: dict[str, Any] = {"name": self.name}
        for section in SECTIONS:
            union[section] = {
                key: value for part in self.parts for key, value in part.canonical.get(section, {}).items()
            }
        return union

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
        force_recreate: bool = False,
        remove_orphans: bool = False,
    ) -> "Stored":
        """`up [SERVICE…]`. With services: these (and, unless `no_deps`, what they need) are replaced, the others
        stay as they were last said, or unsaid. What this file set said before and says no longer is not wanted.
        Raises DeclareError."""
        files, named = tuple(files), tuple(services)
        refuse_unknown(canonical, (*named, *(scale or {})))
        asked = tuple(canonical.get("services", {})) if not named else with_needed(canonical, named, no_deps=no_deps)
        said = self._said(files, canonical, asked) if named else dict(canonical)
        others = () if remove_orphans else tuple(part for part in self.parts if not part.shares_a_file_with(files))
        overlay = self.overlay.asked_up(asked, scale or {})
        if force_recreate:
            overlay = overlay.with_new(named or asked)
        return replace(
            self,
            parts=(*others, Part(files, said)),
            overlay=overlay,
            asked={**self.asked, **dict.fromkeys(asked, now)},
            purge=False,
        )

    def _said(self, files: tuple[str, ...], canonical: Json, asked: Iterable[str]) -> dict[str, Any]:
        """`canonical` of this file set, where only the services `asked` are new."""
        said = dict(canonical)
        before = [part.canonical for part in self.parts if part.shares_a_file_with(files)]
        for section in SECTIONS[1:]:
            said[section] = {
                **{k: v for old in before for k, v in old.get(section, {}).items()},
                **canonical.get(section, {}),
            }
        kept = {name: value for old in before for name, value in old.get("services", {}).items()}
        services = {**kept, **{name: canonical["services"][name] for name in asked}}
        unsaid = set(canonical["services"]) - services.keys()
        said["services"] = {name: without_needing(service, unsaid) for name, service in services.items()}
        return said

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

    def _is_joined(self, service: str, network: str) -> bool:
        refuse_unknown(self.canonical(), (service,))
        wanted = self.overlay.over(self.canonical())
        said = wanted["services"][service]
        every = (said, *said.get("replicas", {}).values())
        return any(key_of(wanted, network) in body.get("networks", {}) for body in every)

    def with_shared(self, section: str, name: str, settings: Json | None) -> "Stored":
        """Of MACHINE: with this network or volume ("networks", "volumes"); None: without it."""
        said = {each: dict(self.canonical()[each]) for each in SECTIONS}
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
        )


def _edge_to_json(edge: Edge) -> list[Any]:
    return [edge.to, edge.needs.name, edge.gates.name, edge.rigid.name, edge.required]


def _edge_from_json(value: list[Any]) -> Edge:
    to, needs, gates, rigid, required = value
    return Edge(to, Needs[needs], Gates[gates], Depth[rigid], required)


def refuse_unknown(canonical: Json, services: Iterable[str]) -> None:
    """Raises DeclareError for a service that is not declared."""
    known = canonical.get("services", {})
    for name in services:
        if name not in known:
            raise DeclareError(f"no such service: {name}", hint=f"there are {', '.join(known) or 'no services'}")


def with_needed(canonical: Json, services: Iterable[str], *, no_deps: bool) -> tuple[str, ...]:
    """These services and, unless `no_deps`, all that they need (depends_on, links, volumes_from), in the order of
    the file."""
    known = canonical.get("services", {})
    asked, more = set(), set(services)
    while more:
        asked |= more
        more = set() if no_deps else {name for one in more for name in _needed(known[one]) if name in known} - asked
    return tuple(name for name in known if name in asked)


def _needed(service: Json) -> set[str]:
    linked = (text.partition(":")[0] for text in (*service.get("links", ()), *service.get("volumes_from", ())))
    shared = {namespaces.service_of(service.get(key)) for key in namespaces.KEYS} - {""}
    return {*service.get("depends_on", {}), *linked, *shared}


def without_needing(service: Json, unsaid: Set[str]) -> Json:
    """The service, not waiting for any of these: they are in the file, but nobody asked for them."""

    def without(body: Json) -> Json:
        if unsaid.isdisjoint(_needed(body)):
            return body
        depends_on = {name: how for name, how in body.get("depends_on", {}).items() if name not in unsaid}
        links = [text for text in body.get("links", ()) if text.partition(":")[0] not in unsaid]
        return {**body, "depends_on": depends_on, "links": links}

    return bodies.changed(service, without)
