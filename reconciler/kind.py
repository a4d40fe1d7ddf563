"""What every kind of resource knows about itself; each module of `kinds/` is one.

All functions are pure and total. The planner calls them and knows no kind; the user's words become engine words in
`declare` only."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from engine.types.configs import Config
from engine.types.infos import Look
from reconciler.resource import Blocked, Claim, Depth, Difference, Gates, Met, Needs, Observed, Resource, Step, Verb

if TYPE_CHECKING:
    from reconciler.wish import Wish

Things = Mapping[str, Observed]
"""What exists, by id."""


class Kind(Protocol):
    name: str

    def declare(self, wish: "Wish") -> Iterator[Resource]:
        """What should exist of this kind, with its edges. Raises `reconciler.errors.Conflict`."""

    def observe(self, look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
        """What exists of this kind for `project`. `wanted` tells which things of others are ours to see."""

    def compare(self, want: Resource, have: Observed, things: Things) -> Difference:
        """Per field: what can change in place, what cannot, and from what to what."""

    def step_up(self, want: Resource, have: Observed | None, now: float) -> Step | Blocked | None:
        """The next step towards up, whatever others say; Blocked: not before a time, or never; None: it is up."""

    def step_down(self, have: Observed, depth: Depth) -> Step | None:
        """The next step towards `depth`; None: it is as far down, or never goes."""

    def claims(self, config: Config) -> tuple[Claim, ...]:
        """What only one can have."""

    def release(self, want: Resource, have: Observed) -> Step | None:
        """Give up the claims that are wanted no longer, without getting the new ones; None: it has none of these."""

    def meets(self, have: Observed, needs: Needs) -> Met:
        """Whether `have` meets the condition of an edge."""

    def predict(self, step: Step, have: Observed | None, things: Things, now: float, uid: str) -> Observed | None:
        """What `have` becomes if `step` goes well; `uid`: the incarnation to give to what is made. None: it is gone."""

    def hoped(self, have: Observed, needs: Needs, now: float) -> Observed:
        """What `have` becomes if the condition that may still come by itself comes."""


def create(want: Resource, because: str) -> Step:
    return Step(want.id, Verb.CREATE, because, config=want.config, gates=(Gates.CREATE,))


def remove(have: Observed) -> Step:
    return Step(have.id, Verb.REMOVE, uid=have.uid)


def made_once(want: Resource, have: Observed | None) -> Step | None:
    """The step up of what only has to exist."""
    return create(want, "is not there") if have is None else None


def made_and_finished(want: Resource, have: Observed | None) -> Step | None:
    """The step up of what lasts: half-made, it is finished instead of removed."""
    if have is not None and not have.whole:
        return create(want, "is half-made")
    return made_once(want, have)


def nobody_made_it(want: Resource, which: str) -> Blocked:
    """The step up of an external thing that is not there."""
    why = (
        f"{which} is external and nobody has made it: `corral up` the project that declares it, or make it by a command"
    )
    return Blocked(want.id, Verb.CREATE, why=why)


def with_drift(difference: Difference, drift: tuple[str, ...]) -> Difference:
    """What an update with the same Config puts right is a live difference."""
    if not drift:
        return difference
    return replace(difference, live=(*difference.live, *(f"{what} drifted" for what in drift)))


ALWAYS = Met(True)
