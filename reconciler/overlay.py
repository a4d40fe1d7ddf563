"""What commands said beside the files. Data, kept with the project, laid over it before anything is declared."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from reconciler import one_offs
from reconciler.one_offs import OneOff
from specs.model import bodies

Json = Mapping[str, Any]

UPDATABLE = (
    *("cpus", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset"),
    *("mem_limit", "memswap_limit", "mem_reservation", "pids_limit", "restart", "blkio_config.weight"),
)
"""The keys of a service that `corral update` may say otherwise, also such of what a key has; each changes under the running
process."""

INSTEAD_OF = {"cpus": ("cpu_period", "cpu_quota"), "cpu_period": ("cpus",), "cpu_quota": ("cpus",)}
"""Two ways to write one limit: who says the one takes back the other."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """By service name. `scale`: how many replicas, whatever the file says; `stopped`: wanted, but not running; `paused`:
    running, but standing still; `nonce`: a number that changes to force new containers; `updates`: canonical values that
    count instead of the file's, None for no limit; `connections`: by the network's full name how the service is joined to it,
    None: not at all, whatever the file says. `hosts`: this machine's own programs are to find the containers by name. `runs`: by
    its own name each one-off that `run` has added. Gone after `down`."""

    scale: Mapping[str, int] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()
    nonce: Mapping[str, int] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    updates: Mapping[str, Json] = field(default_factory=dict)
    connections: Mapping[str, Mapping[str, Json | None]] = field(default_factory=dict)
    hosts: bool = False
    runs: Mapping[str, OneOff] = field(default_factory=dict)

    def over(self, canonical: Json) -> Json:
        """The document as the commands want it."""
        canonical = one_offs.beside(canonical, self.runs) if self.runs else canonical
        services = canonical.get("services", {})
        changed = {name: changes for name, changes in self.updates.items() if name in services}
        if changed:
            updated = {name: bodies.changed(services[name], partial(_over, changes=changed[name])) for name in changed}
            canonical = {**canonical, "services": {**services, **updated}}
        for service, said in self.connections.items():
            for network, joined in said.items() if service in services else ():
                canonical = _connected(canonical, service, network, joined)
        return canonical

    def is_stopped(self, service: str) -> bool:
        """Wanted, but not running."""
        return service in self.stopped or (service in self.runs and not self.runs[service].may_start)

    def run_of(self, service: str) -> str:
        """The service that this is a one-off of; "": it is none."""
        return self.runs[service].service if service in self.runs else ""

    def asked_up(self, services: Iterable[str], scale: Mapping[str, int], said: Iterable[str]) -> "Overlay":
        """`up` asks for these: they run again and go on with the file's limits; those that were `said` as often as the file (or
        `scale`) says. The nonce stays, or they would be made anew once more."""
        named = frozenset(services)
        kept = _without(self.scale, frozenset(said))
        return replace(
            self,
            stopped=self.stopped - named,
            paused=self.paused - named,
            scale={**kept, **scale},
            updates=_without(self.updates, named),
            connections=_without(self.connections, named),
        )

    def words(self) -> tuple[str, ...]:
        """What counts beside the files, for people: of which service, what, and which command says so."""
        found = [(name, f"{count} of it (corral scale)") for name, count in self.scale.items()]
        found += [(name, "stopped (corral stop)") for name in self.stopped]
        found += [(name, "paused (corral pause)") for name in self.paused]
        found += [(name, f"other {', '.join(changes)} (corral update)") for name, changes in self.updates.items()]
        found += [(name, f"networks: {', '.join(each)} (corral network)") for name, each in self.connections.items()]
        found += [(name, f"one-off of {run.service} (corral run)") for name, run in self.runs.items()]
        return tuple(f"{name}: {words}" for name, words in sorted(found))

    def taken_back(self, after: "Overlay") -> dict[str, dict[str, str]]:
        """By service: what counts here and not in `after`, in the words of a Change (of a network: its full name), and which
        command had said it."""
        found: dict[str, dict[str, str]] = {}
        for service in self.updates.keys() - after.updates.keys():
            found.setdefault(service, {}).update(dict.fromkeys(self.updates[service], "corral update"))
        for service in self.paused - after.paused:
            found.setdefault(service, {})["paused"] = "corral pause"
        for service in self.connections.keys() - after.connections.keys():
            for network, joined in self.connections[service].items():
                verb = "disconnect" if joined is None else "connect"
                found.setdefault(service, {})[network] = f"corral network {verb}"
        return found

    def with_new(self, services: Iterable[str]) -> "Overlay":
        """New containers for these, whatever they are now."""
        more = {name: self.nonce.get(name, 0) + 1 for name in services}
        return replace(self, nonce={**self.nonce, **more})

    def with_stopped(self, services: Iterable[str]) -> "Overlay":
        named = frozenset(services)
        return replace(self, stopped=self.stopped | named, paused=self.paused - named)

    def with_started(self, services: Iterable[str]) -> "Overlay":
        return replace(self, stopped=self.stopped - frozenset(services))

    def with_paused(self, services: Iterable[str]) -> "Overlay":
        return replace(self, paused=self.paused | frozenset(services))

    def with_unpaused(self, services: Iterable[str]) -> "Overlay":
        return replace(self, paused=self.paused - frozenset(services))

    def with_updates(self, services: Iterable[str], changes: Json) -> "Overlay":
        """These values for these services, beside what earlier updates said."""
        gone = {other for key in changes for other in INSTEAD_OF.get(key, ()) if other not in changes}
        said = {**changes, **dict.fromkeys(gone)}
        return replace(
            self, updates={**self.updates, **{name: {**self.updates.get(name, {}), **said} for name in services}}
        )

    def with_run(self, name: str, run: OneOff) -> "Overlay":
        return replace(self, runs={**self.runs, name: run})

    def without(self, services: Iterable[str]) -> "Overlay":
        """Nothing was ever said of these services, or one-offs."""
        gone = frozenset(services)
        return replace(
            self,
            scale=_without(self.scale, gone),
            stopped=self.stopped - gone,
            paused=self.paused - gone,
            updates=_without(self.updates, gone),
            connections=_without(self.connections, gone),
            runs=_without(self.runs, gone),
        )

    def with_connection(self, service: str, network: str, joined: Json | None) -> "Overlay":
        """Joined to the network of this full name; None: not joined."""
        said = {**self.connections.get(service, {}), network: joined}
        return replace(self, connections={**self.connections, service: said})

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": dict(self.scale),
            "stopped": sorted(self.stopped),
            "nonce": dict(self.nonce),
            "paused": sorted(self.paused),
            "updates": {name: dict(changes) for name, changes in self.updates.items()},
            "connections": {name: dict(said) for name, said in self.connections.items()},
            "hosts": self.hosts,
            "runs": {name: run.to_json() for name, run in self.runs.items()},
        }

    @classmethod
    def from_json(cls, value: Json) -> "Overlay":
        paused = frozenset(value.get("paused", ()))
        updates = {name: dict(changes) for name, changes in value.get("updates", {}).items()}
        said = {name: dict(each) for name, each in value.get("connections", {}).items()}
        hosts = value.get("hosts", False)
        runs = {name: OneOff.from_json(each) for name, each in value.get("runs", {}).items()}
        return cls(
            dict(value["scale"]), frozenset(value["stopped"]), dict(value["nonce"]), paused, updates, said, hosts, runs
        )


def key_of(canonical: Json, network: str) -> str:
    """What the document calls the network of this full name, or will call it once a service is connected to it."""
    networks = canonical.get("networks", {})
    for key, value in networks.items():
        if value.get("name") == network:
            return str(key)
    return network if network not in networks else f"{network}.connected"


def _connected(canonical: Json, service: str, network: str, joined: Json | None) -> Json:
    key, networks, said = key_of(canonical, network), canonical.get("networks", {}), canonical["services"][service]

    def connected(body: Json) -> Json:
        joins = _without(body.get("networks", {}), {key})
        return {**body, "networks": joins if joined is None else {**joins, key: joined}}

    if joined is not None:
        networks = {key: {"name": network, "external": True}, **networks}
    services = {**canonical["services"], service: bodies.changed(said, connected)}
    return {**canonical, "networks": networks, "services": services}


def _over(service: Json, changes: Json) -> Json:
    for key, value in changes.items():
        name, _, inner = key.partition(".")
        if inner:
            value = _over(service.get(name, {}), {inner: value}) or None
        service = _without(service, {name}) if value is None else {**service, name: value}
    return service


def _without(mapping: Mapping[str, Any], gone: Set[str]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in gone}
