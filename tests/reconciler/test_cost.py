"""What planning costs: CPU time of all plans of an `up` from nothing, of the last one, and of `down`. Printed (run
with -s), not judged.

CORRAL_COST gives the numbers of services. Half of them are chains of ten, half stars; each has a static address and
a host port."""

import os
import time

import pytest
import scenes
from scenes import Scene

from reconciler import plan
from reconciler.actual import ActualState
from reconciler.forecast import perform
from reconciler.resource import Step

SIZES = [int(size) for size in os.environ.get("CORRAL_COST", "100").split(",")]


def cluster(count: int) -> scenes.Mapped:
    services = {}
    for number in range(count):
        hub, is_chained = number // 50 * 50, number % 100 < 50
        other = number - 1 if is_chained and number % 10 else hub
        condition = "service_healthy" if number % 3 == 0 else "service_started"
        services[f"s{number:04d}"] = scenes.service(
            networks={"lab": {"ipv4_address": f"10.9.{number // 250 + 1}.{number % 250 + 1}"}},
            ports=[scenes.port(str(10_000 + number))],
            healthcheck=scenes.CHECKED,
            depends_on={} if number == hub else {f"s{other:04d}": scenes.needs(condition)},
        )
    return scenes.project(services, networks={"lab": scenes.subnet("10.9.0.0/16")})


class Measured:
    """An engine for which every step takes one wave, and that only counts what the planner takes."""

    def __init__(self) -> None:
        self.scene, self.plans, self.spent_s, self.steps = Scene(), 0, 0.0, 0

    def converge(self) -> None:
        things = self.scene.things = self.scene.seen()
        while True:
            look = self.planned()
            if not look:
                return
            self.steps += len(look)
            self.scene.now += 1
            for number, step in enumerate(look):
                perform(step, things, self.scene.now, f"{step.id}#{self.plans}.{number}")

    def planned(self) -> tuple[Step, ...]:
        began = time.process_time()
        look = plan.plan(self.scene.desired, self.scene.things, now=self.scene.now)
        self.spent_s += time.process_time() - began
        self.plans += 1
        return look.ready


@pytest.mark.parametrize("count", SIZES)
def test_an_up_and_a_down_are_planned_to_their_end(count: int):
    measured = Measured()
    began = time.process_time()
    measured.scene.up(cluster(count))
    declared_s = time.process_time() - began
    measured.converge()
    up, measured.plans, measured.spent_s = (measured.plans, measured.spent_s), 0, 0.0
    runs = sum(have.runs for have in measured.scene.things.values())
    assert runs == count
    began = time.process_time()
    ActualState.of(measured.scene.look(), measured.scene.desired)
    seen_s = time.process_time() - began
    assert measured.planned() == ()
    last_s = measured.spent_s
    measured.scene.say(measured.scene.stored.down())
    measured.plans, measured.spent_s = 0, 0.0
    measured.converge()
    assert set(measured.scene.things) == {"image:host"}
    print(  # noqa: T201
        f"\n{count} services: declare {declared_s:.3f} s; up {up[0]} plans {up[1]:.3f} s; one plan at rest "
        f"{last_s * 1000:.1f} ms, one look as things {seen_s * 1000:.1f} ms; down {measured.plans} plans {measured.spent_s:.3f} s"
    )
