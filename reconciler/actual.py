"""What exists of one project at one moment, as every kind sees it in one look."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.types.infos import Look, Taken
from reconciler.desired import DesiredState
from reconciler.kinds import catalogue
from reconciler.resource import Observed


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody beside the loop has looked at. `looks`: how many looks the loop had made before."""

    look: Look
    taken: Taken
    looks: int


@dataclass(frozen=True)
class ActualState(Mapping[str, Observed]):
    """A mapping from id to Observed. `things` is the plain dict of it."""

    things: dict[str, Observed] = field(default_factory=dict)

    @classmethod
    def of(cls, look: Look, desired: DesiredState, health: Mapping[str, str] | None = None) -> "ActualState":
        """`health`: container uid -> "starting", "healthy", "unhealthy" or ""."""
        things: dict[str, Observed] = {}
        for kind in catalogue.KINDS.values():
            for have in kind.observe(look, desired.project, desired.wanted):
                known = health.get(have.uid, "") if health and have.runs else ""
                things[have.id] = replace(have, health=known) if known else have
        return cls(things)

    def __getitem__(self, resource_id: str) -> Observed:
        return self.things[resource_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.things)

    def __len__(self) -> int:
        return len(self.things)
