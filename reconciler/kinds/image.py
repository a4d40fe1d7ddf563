"""An image, shared by all projects. Never removed by a plan; half-made, it is finished. A newer one is made beside
the older: the container's `compare` sees another uid."""

from collections.abc import Iterator, Mapping

from engine.types.configs import Config, ImageConfig
from engine.types.infos import ImageInfo, Look
from reconciler import kind
from reconciler.kind import Things
from reconciler.resource import SAME, Claim, Depth, Difference, Met, Needs, Observed, Resource, Step, Verb
from reconciler.wish import Wish

name = "image"


def id_of(reference: str) -> str:
    return f"image:{reference}"


def declare(wish: Wish) -> Iterator[Resource]:
    used = {service.image for _, service in wish.members()}
    used |= {step.image for _, service in wish.members() for step in service.pre_start if step.image}
    return (Resource(id_of(reference), ImageConfig(reference)) for reference in sorted(used))


def observe(look: Look, project: str, wanted: Mapping[str, Resource]) -> Iterator[Observed]:
    return (Observed(id_of(info.config.reference), info) for info in look.images)


def compare(want: Resource, have: Observed, things: Things) -> Difference:
    return SAME


def step_up(want: Resource, have: Observed | None, now: float) -> Step | None:
    return kind.made_and_finished(want, have)


def step_down(have: Observed, depth: Depth) -> Step | None:
    return None


def claims(config: Config) -> tuple[Claim, ...]:
    return ()


def release(want: Resource, have: Observed) -> Step | None:
    return None


def meets(have: Observed, needs: Needs) -> Met:
    return kind.ALWAYS


def predict(step: Step, have: Observed | None, things: Things, now: float, uid: str) -> Observed | None:
    assert step.verb is Verb.CREATE
    assert isinstance(step.config, ImageConfig)
    return Observed(step.id, ImageInfo(step.config, have.uid if have else uid))


def hoped(have: Observed, needs: Needs, now: float) -> Observed:
    return have
