"""What commands said beside the files. Data, kept with the project, laid over it before anything is declared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overlay:
    """By service name. `scale`: how many replicas, whatever the file says; `stopped`: wanted, but not running; `paused`:
    running, but standing still; `nonce`: a number that changes to force new containers. Gone after `down`."""

    scale: Mapping[str, int] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()
    nonce: Mapping[str, int] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()

    def asked_up(self, services: Iterable[str], scale: Mapping[str, int]) -> "Overlay":
        """`up` names these: they run again and go on, as often as the file (or `scale`) says. The nonce stays, or they would
        be made anew once more."""
        named = frozenset(services)
        kept = {name: count for name, count in self.scale.items() if name not in named}
        return replace(self, stopped=self.stopped - named, paused=self.paused - named, scale={**kept, **scale})

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

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": dict(self.scale),
            "stopped": sorted(self.stopped),
            "nonce": dict(self.nonce),
            "paused": sorted(self.paused),
        }

    @classmethod
    def from_json(cls, value: Json) -> "Overlay":
        paused = frozenset(value.get("paused", ()))
        return cls(dict(value["scale"]), frozenset(value["stopped"]), dict(value["nonce"]), paused)
