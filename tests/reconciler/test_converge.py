"""The loop on the fake engine: what it does at once, what it waits for, what it survives, and how it says that it is done."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest
import scenes
import virtual_time
from scenes import CHECKED, needs, port, project, service

from engine.errors import EngineError
from engine.types.configs import NetworkConfig
from engine.types.infos import NetworkInfo, State, Taken
from engine.types.parts import PortMap
from reconciler import converge, declaration, events, fake
from reconciler.actual import Seen
from reconciler.converge import Loop
from reconciler.desired import DesiredState
from reconciler.resource import Verb
from reconciler.stored import Stored

A_SECOND = {"interval": 1.0}


class Stage:
    """One loop, listening to its engine."""

    def __init__(self) -> None:
        self.engine = fake.FakeEngine(anyio.current_time)
        self.told: list[events.Event] = []
        self.stored = Stored("p")
        self.loop = Loop(
            self.engine,
            "p",
            health=lambda: self.engine.health,
            publish=self.told.append,
            redeclare=self.declare,
            clock=anyio.current_time,
        )

    def declare(self, look: Any, taken: Any) -> DesiredState:
        declared = declaration.declare(self.stored, look, taken)
        self.stored = declared.stored
        return declared.desired

    async def say(self, stored: Stored) -> int:
        self.stored = stored
        seen = Seen(looks=self.loop.looks, look=await self.engine.look("p"), taken=await self.engine.taken("p"))
        return self.loop.want(self.declare(seen.look, seen.taken), seen=seen)

    async def up(self, services: dict[str, Any], **more: Any) -> int:
        return await self.say(self.stored.up(scenes.FILES, project(services, **more), anyio.current_time()))

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(100_000):
            if holds():
                return
            await anyio.sleep(0.05)
        raise AssertionError("it never came")

    async def listen(self) -> None:
        async for _ in self.engine.changes():
            self.loop.wake()

    def of(self, sort: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, sort)]

    def info(self, resource_id: str) -> Any:
        return self.engine.things("p")[resource_id].info


def played(test: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
    """The test is a coroutine with a running stage, in virtual time."""

    async def play() -> None:
        stage = Stage()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.loop.run)
            tasks.start_soon(stage.listen)
            with anyio.fail_after(100_000):
                await test(stage)
            tasks.cancel_scope.cancel()

    def run() -> None:
        virtual_time.run(play)

    run.__name__ = test.__name__
    return run


@played
async def test_all_that_is_ready_begins_at_once_and_the_events_tell_it(stage: Stage) -> None:
    stage.engine.delay_s = lambda resource_id, verb: 1.0
    began = anyio.current_time()
    number = await stage.up({f"s{n}": service() for n in range(20)})
    outcome = await stage.loop.settled(since=number)
    assert outcome.ok
    assert anyio.current_time() - began == pytest.approx(3, abs=0.1), "create, wire, start: one second each"
    begun, ended = stage.of(events.StepBegun), stage.of(events.StepEnded)
    assert len(begun) == len(ended) == 2 + 20 * 4
    assert all(event.took_s == pytest.approx(1, abs=0.01) for event in ended)
    assert isinstance(stage.told[-1], events.Settled)
    assert stage.loop.plan.kept == 2 + 20 * 3


@played
async def test_of_what_is_ready_that_begins_first_which_others_need(stage: Stage) -> None:
    """Shims are forked while the records of containers are written: in the order of names it would be the other way round."""
    stage.engine.delay_s = lambda resource_id, verb: 1.0
    await stage.loop.settled(since=await stage.up({"a": service(), "b": service()}))
    kinds = [event.step.id.partition(":")[0] for event in stage.of(events.StepBegun)]
    at_first = ["image", "network", "sandbox", "sandbox"]
    assert kinds == [*at_first, "endpoint", "endpoint", "container", "container", "container", "container"]


@played
async def test_of_many_under_way_those_that_end_about_together_are_looked_at_together(stage: Stage) -> None:
    looks, look, look_s = 0, stage.engine.look, 0.02

    async def counted(project: str) -> Any:
        nonlocal looks
        looks += 1
        await anyio.sleep(look_s)
        return await look(project)

    stage.engine.look = counted  # type: ignore[method-assign]
    stage.engine.delay_s = lambda resource_id, verb: 1 + int("".join(filter(str.isdigit, resource_id)) or 0) / 100
    number = await stage.up({f"s{n}": service() for n in range(100)})
    began = anyio.current_time()
    await stage.loop.settled(since=number)
    assert looks * look_s < 0.3 * (anyio.current_time() - began), f"{looks} looks"


@played
async def test_when_all_of_many_have_ended_nothing_more_is_waited_for(stage: Stage) -> None:
    stage.engine.delay_s = lambda resource_id, verb: 1.0
    began = anyio.current_time()
    await stage.loop.settled(since=await stage.up({f"s{n}": service() for n in range(100)}))
    assert anyio.current_time() - began < 3 + converge.GATHER_S


@played
async def test_nothing_to_do_is_settled_after_one_look_and_begins_nothing(stage: Stage) -> None:
    await stage.loop.settled(since=await stage.up({"a": service()}))
    stage.told.clear()
    assert (await stage.loop.settled(since=await stage.up({"a": service()}))).ok
    assert stage.of(events.StepBegun) == []


@played
async def test_one_resource_has_one_step_at_a_time_and_stays_busy_until_it_was_looked_at(stage: Stage) -> None:
    under_way: set[str] = set()

    def publish(event: events.Event) -> None:
        if isinstance(event, events.StepBegun):
            assert event.step.id not in under_way
            under_way.add(event.step.id)
        if isinstance(event, events.StepEnded):
            under_way.remove(event.step.id)
            assert event.step.id in stage.loop.busy

    stage.loop._publish = publish
    stage.engine.look_s, stage.engine.delay_s = 0.3, lambda resource_id, verb: 0.1
    assert (await stage.loop.settled(since=await stage.up({"a": service(), "b": service()}))).ok
    assert len(stage.engine.done) == len(set(stage.engine.done)) == 10


@played
async def test_a_failure_is_tried_again_with_back_off_and_up_loses_patience_before_the_loop_does(stage: Stage) -> None:
    stage.engine.faults["container:a", Verb.START] = 7
    outcome = await stage.loop.settled(since=await stage.up({"a": service()}))
    assert not outcome.ok
    assert [(each.id, each.why) for each in outcome.blocked] == [
        ("container:a", "cannot start container:a: as it was told to")
    ]
    assert len(stage.of(events.StepFailed)) == 5
    await anyio.sleep(60)
    assert stage.info("container:a").state is State.RUNNING, "the loop goes on trying"
    assert (await stage.loop.settled()).ok


@played
async def test_what_only_an_edit_helps_has_no_hope_and_is_retried_slowly(stage: Stage) -> None:
    stage.engine.terminal.add(("container:a", Verb.START))
    began = anyio.current_time()
    outcome = await stage.loop.settled(since=await stage.up({"a": service()}))
    assert not outcome.ok
    assert anyio.current_time() - began < 1
    assert [event.terminal for event in stage.of(events.StepFailed)] == [True]
    await anyio.sleep(3600)
    assert 55 <= len(stage.of(events.StepFailed)) <= 62
    stage.engine.terminal.clear()
    assert (await stage.loop.settled(since=await stage.up({"a": service(command=["other"])}))).ok, "an edit forgives"


@played
async def test_a_new_up_tries_again_at_once(stage: Stage) -> None:
    stage.engine.faults["container:a", Verb.START] = 6
    await stage.loop.settled(since=await stage.up({"a": service()}))
    began = anyio.current_time()
    assert (await stage.loop.settled(since=await stage.up({"a": service()}))).ok
    assert anyio.current_time() - began < 1


@played
async def test_drift_that_no_update_mends_does_not_spin(stage: Stage) -> None:
    await stage.loop.settled(since=await stage.up({"a": service()}))
    stage.engine.watches = lambda step, begins: None
    uid = stage.info("network:lab").uid

    async def in_vain(uid: str, config: Any) -> None:
        stage.engine.done.append(("network:lab", Verb.UPDATE))

    stage.engine.update = in_vain  # type: ignore[method-assign]
    stage.engine.drift(uid, "rules")
    stage.engine.done.clear()
    await anyio.sleep(600)
    assert 5 < len(stage.engine.done) < 30


@played
async def test_a_crashed_process_restarts_at_once_after_a_long_life_and_later_and_later_after_short_ones(
    stage: Stage,
) -> None:
    await stage.loop.settled(since=await stage.up({"a": service(restart="always")}))
    await anyio.sleep(20)
    ended = anyio.current_time()
    stage.engine.exit(stage.info("container:a").uid, 1)
    await anyio.sleep(0.001)
    assert stage.info("container:a").started_at - ended < 0.01
    waits = []
    for _ in range(12):
        ended = anyio.current_time()
        stage.engine.exit(stage.info("container:a").uid, 1)
        await stage.until(lambda: stage.info("container:a").state is State.RUNNING)
        waits.append(stage.info("container:a").started_at - ended)
    assert waits[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8], abs=0.06)
    assert waits[-1] == pytest.approx(60, abs=0.1)


@played
async def test_a_delay_goes_before_the_back_off_and_attempts_are_counted_anew_after_a_window(stage: Stage) -> None:
    policy = {"delay": 5.0, "window": 30.0, "max_attempts": 2}
    await stage.loop.settled(since=await stage.up({"a": service(restart="always", restart_policy=policy)}))
    uid, waits = stage.info("container:a").uid, []
    for lived in (1, 40, 1, 40, 1):
        await anyio.sleep(lived)
        ended = anyio.current_time()
        stage.engine.exit(uid, 1)
        await stage.until(lambda: stage.info("container:a").state is State.RUNNING)
        waits.append(stage.info("container:a").started_at - ended)
    assert waits == pytest.approx([5.0] * 5, abs=0.06)
    assert stage.info("container:a").attempts == 2
    stage.engine.exit(uid, 1)
    await anyio.sleep(600)
    assert stage.info("container:a").state is State.EXITED
    [why] = [blocked.why for blocked in stage.loop.plan.blocked]
    assert why == "exited 1, restart: always:2, delay 5s, window 30s is used up"


@played
async def test_a_stop_that_comes_after_an_exit_does_nothing_and_is_not_repeated(stage: Stage) -> None:
    services = {"a": service(), "b": service(restart="always", depends_on={"a": needs(restart=True)})}
    await stage.loop.settled(since=await stage.up(services))
    stage.engine.delay_s = lambda resource_id, verb: 1.0 if verb is Verb.STOP else 0.0
    number = await stage.say(stage.stored.stop(["a", "b"]))
    await anyio.sleep(0.5)
    stage.engine.exit(stage.info("container:b").uid, 3)
    assert (await stage.loop.settled(since=number)).ok
    await anyio.sleep(100)
    begun = [event.step.id for event in stage.of(events.StepBegun) if event.step.verb is Verb.STOP]
    assert sorted(begun) == ["container:a", "container:b"]
    assert (stage.info("container:b").state, stage.info("container:b").code) == (State.EXITED, 3)


LEAVES = {"x-corral": {"leave": {"command": ["drain"], "timeout": 600.0}}}


async def leaving(stage: Stage, delay_s: float) -> int:
    """A stage on which a-2 is about to leave, and takes so long for it; the wish's number."""
    await stage.loop.settled(since=await stage.up({"a": service(scale=2, **LEAVES)}))
    stage.engine.delay_s = lambda resource_id, verb: delay_s if verb is Verb.STOP else 0.0
    number = await stage.up({"a": service(scale=1, **LEAVES)})
    await stage.until(lambda: "container:a-2" in stage.loop.busy)
    return number


@played
async def test_up_waits_for_who_leaves_and_hears_what_it_says(stage: Stage) -> None:
    began, number = anyio.current_time(), await leaving(stage, 500.0)
    assert (await stage.loop.settled(since=number)).ok
    assert anyio.current_time() - began >= 500
    assert [event.line for event in stage.of(events.StepSaid)] == ["a-2 leaves"]
    assert "container:a-2" not in stage.engine.things("p")


@played
async def test_who_is_wanted_again_need_not_leave(stage: Stage) -> None:
    began = anyio.current_time()
    await leaving(stage, 500.0)
    before = stage.info("container:a-2")
    number = await stage.up({"a": service(scale=2, **LEAVES)})
    stage.engine.delay_s = lambda resource_id, verb: 0.0
    assert (await stage.loop.settled(since=number)).ok
    assert stage.info("container:a-2") == before
    assert anyio.current_time() - began < 100


@played
async def test_a_down_waits_for_nobody_who_leaves(stage: Stage) -> None:
    began = anyio.current_time()
    await leaving(stage, 500.0)
    stage.engine.delay_s = lambda resource_id, verb: 1.0
    number = await stage.say(stage.stored.down())
    assert (await stage.loop.settled(since=number)).ok
    assert anyio.current_time() - began < 100
    stops = [event.step for event in stage.of(events.StepBegun) if event.step.id == "container:a-2"]
    assert [(step.verb, bool(step.leave)) for step in stops][-3:] == [
        (Verb.STOP, True),
        (Verb.STOP, False),
        (Verb.REMOVE, False),
    ]


@played
async def test_another_command_lets_it_go_on_leaving(stage: Stage) -> None:
    await leaving(stage, 500.0)
    number = await stage.up({"a": service(scale=1, **LEAVES)})
    assert (await stage.loop.settled(since=number)).ok
    begun = [event.step for event in stage.of(events.StepBegun) if event.step.verb is Verb.STOP]
    assert len(begun) == 1


@played
async def test_who_cannot_leave_stays_and_up_says_so(stage: Stage) -> None:
    await stage.loop.settled(since=await stage.up({"a": service(scale=2, **LEAVES)}))
    stage.engine.terminal = {("container:a-2", Verb.STOP)}
    outcome = await stage.loop.settled(since=await stage.up({"a": service(scale=1, **LEAVES)}))
    assert not outcome.ok
    assert "cannot stop container:a-2" in {each.id: each.why for each in outcome.blocked}["container:a-2"]
    assert stage.info("container:a-2").state is State.RUNNING
    assert "endpoint:a-2/lab" in stage.engine.things("p")


@played
async def test_on_failure_gives_up_after_its_number(stage: Stage) -> None:
    stage.engine.starts = lambda info: stage.engine.exit(info.uid, 7)
    await stage.up({"a": service(restart="on-failure:3")})
    await anyio.sleep(600)
    assert stage.engine.done.count(("container:a", Verb.START)) == 4
    assert [each.why for each in stage.loop.plan.blocked] == ["exited 7, restart: on-failure:3 is used up"]


@played
async def test_up_waits_for_health_where_somebody_depends_on_it_and_wait_for_everybodys(stage: Stage) -> None:
    services = {
        "db": service(healthcheck=CHECKED),
        "web": service(healthcheck=CHECKED, depends_on={"db": needs("service_healthy")}),
    }
    number = await stage.up(services)
    await anyio.sleep(30)
    assert stage.info("container:web").state is State.MADE
    stage.engine.probe(stage.info("container:db").uid, "healthy")
    assert (await stage.loop.settled(since=number)).ok
    with anyio.move_on_after(30) as patience:
        await stage.loop.settled(wait=True)
    assert patience.cancelled_caught, "web has not answered yet"
    stage.engine.probe(stage.info("container:web").uid, "unhealthy")
    assert not (await stage.loop.settled(wait=True)).ok
    stage.engine.probe(stage.info("container:web").uid, "healthy")
    await anyio.sleep(0.1)
    assert (await stage.loop.settled(wait=True)).ok


@played
async def test_up_fails_at_once_when_a_dependency_turns_unhealthy_or_exits(stage: Stage) -> None:
    services = {"db": service(healthcheck=CHECKED), "web": service(depends_on={"db": needs("service_healthy")})}
    number = await stage.up(services)
    await anyio.sleep(1)
    stage.engine.probe(stage.info("container:db").uid, "unhealthy")
    outcome = await stage.loop.settled(since=number)
    assert [each.why for each in outcome.blocked] == ["container:db is unhealthy"]
    stage.engine.exit(stage.info("container:db").uid, 3)
    await anyio.sleep(0.1)
    outcome = await stage.loop.settled()
    assert not outcome.ok
    whys = {each.id: each.why for each in outcome.blocked}
    assert whys == {"container:db": "exited 3, restart: no", "container:web": "container:db exited 3"}


@played
async def test_a_one_shot_that_succeeds_lets_others_start_and_is_not_started_again(stage: Stage) -> None:
    stage.engine.starts = lambda info: (
        stage.engine.at(5, lambda: stage.engine.exit(info.uid, 0)) if info.config.service == "job" else None
    )
    services = {"job": service(), "web": service(depends_on={"job": needs("service_completed_successfully")})}
    assert (await stage.loop.settled(since=await stage.up(services), wait=True)).ok
    await stage.loop.settled(since=await stage.up(services))
    assert stage.engine.done.count(("container:job", Verb.START)) == 1


@played
async def test_a_later_exit_fails_only_those_who_wait(stage: Stage) -> None:
    await stage.loop.settled(since=await stage.up({"a": service()}))
    stage.engine.exit(stage.info("container:a").uid, 1)
    await anyio.sleep(1)
    assert (await stage.loop.settled()).ok
    assert not (await stage.loop.settled(wait=True)).ok


@played
async def test_a_port_that_somebody_else_has_is_taken_when_it_is_free(stage: Stage) -> None:
    stage.engine.strangers = Taken(ports=((PortMap("0.0.0.0", 80, 0), "nginx (pid 7)"),))
    outcome = await stage.loop.settled(since=await stage.up({"a": service(ports=[port("80")])}))
    assert [each.why for each in outcome.blocked] == ["host port 80/tcp 0.0.0.0 is had by nginx (pid 7)"]
    stage.engine.strangers = Taken()
    await anyio.sleep(converge.SLOW_LOOK_S + 1)
    assert stage.info("container:a").state is State.RUNNING, "the slow look is the backstop"


@played
async def test_a_network_of_another_project_is_joined_when_it_comes(stage: Stage) -> None:
    external = {"lab": {"name": "shared", "external": True}}
    outcome = await stage.loop.settled(since=await stage.up({"a": service()}, networks=external))
    assert not outcome.ok
    await stage.engine.create(config := NetworkConfig("shared", "other", "x", "10.8.0.0/24", "10.8.0.1"))
    await anyio.sleep(converge.SLOW_LOOK_S + 1)
    assert stage.info("endpoint:a/lab").config.address == "10.8.0.2"
    assert stage.info("container:a").state is State.RUNNING
    await stage.loop.settled(since=await stage.say(stage.stored.down()))
    assert [info.config for info in stage.engine.infos.values() if isinstance(info, NetworkInfo)] == [config]


@played
async def test_a_look_that_fails_is_told_and_tried_again(stage: Stage) -> None:
    look, fails = stage.engine.look, 3

    async def failing(project_name: str) -> Any:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise EngineError("cannot read the records: no")
        return await look(project_name)

    number = await stage.up({"a": service()})
    stage.engine.look = failing  # type: ignore[method-assign]
    assert (await stage.loop.settled(since=number)).ok
    assert {event.error for event in stage.of(events.LookFailed)} == {"cannot read the records: no"}


@played
async def test_a_fault_of_ours_in_one_verb_does_not_stop_the_others(stage: Stage) -> None:
    start = stage.engine.start

    async def faulty(uid: str) -> None:
        if uid.startswith("container:a"):
            raise KeyError("a fault of ours")
        await start(uid)

    stage.engine.start = faulty  # type: ignore[method-assign]
    outcome = await stage.loop.settled(since=await stage.up({"a": service(), "b": service()}))
    assert [each.why for each in outcome.blocked] == ["KeyError: 'a fault of ours'"]
    assert stage.info("container:b").state is State.RUNNING


@played
async def test_wakes_while_it_looks_are_one_more_look(stage: Stage) -> None:
    await stage.loop.settled(since=await stage.up({"a": service()}))
    looks, look = [], stage.engine.look

    async def counted(project_name: str) -> Any:
        looks.append(anyio.current_time())
        await anyio.sleep(1)
        return await look(project_name)

    stage.engine.look = counted  # type: ignore[method-assign]
    stage.loop.wake()
    for _ in range(500):
        await anyio.sleep(0.001)
        stage.loop.wake()
    await anyio.sleep(5)
    assert len(looks) == 2
    assert looks[1] - looks[0] == pytest.approx(2), "it rests as long as the look took"


@played
async def test_what_a_wish_was_declared_from_is_not_looked_at_again(stage: Stage) -> None:
    assert (await stage.loop.settled(since=await stage.up({"a": service()}))).ok
    await anyio.sleep(1.0)
    looks: list[float] = []
    look = stage.engine.look

    async def counted(name: str) -> Any:
        looks.append(anyio.current_time())
        return await look(name)

    stage.engine.look = counted  # type: ignore[method-assign]
    assert (await stage.loop.settled(since=await stage.up({"a": service()}))).ok
    assert len(looks) == 1

    seen = Seen(looks=stage.loop.looks, look=await look("p"), taken=await stage.engine.taken("p"))
    assert (await stage.loop.settled(since=stage.loop.want(stage.loop.desired, seen=seen))).ok
    assert len(looks) == 1
    number = stage.loop.want(stage.loop.desired, seen=replace(seen, looks=stage.loop.looks))
    stage.loop.wake()  # somebody has heard of something since
    assert (await stage.loop.settled(since=number)).ok
    assert len(looks) == 2
    number = stage.loop.want(stage.loop.desired, seen=seen)  # the loop has looked since, and may have done something
    assert (await stage.loop.settled(since=number)).ok
    assert len(looks) == 3


@played
async def test_settled_of_a_wish_waits_for_a_plan_of_that_wish(stage: Stage) -> None:
    first = await stage.up({"a": service()})
    await stage.loop.settled(since=first)
    stage.engine.look_s = 5
    second = await stage.up({"a": service(), "b": service()})
    assert second > first
    await stage.loop.settled(since=second)
    assert stage.info("container:b").state is State.RUNNING


def test_a_killed_loop_leaves_what_the_next_one_mends() -> None:
    async def play() -> None:
        stage = Stage()
        stage.engine.delay_s = lambda resource_id, verb: 1.0
        await stage.up({"a": service(), "b": service(depends_on={"a": needs()})})
        for seconds in (0.5, 1.5, 2.5, 3.5):
            with anyio.move_on_after(seconds):
                await stage.loop.run()
        assert not all(have.whole for have in stage.engine.things("p").values()) or stage.loop.busy
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.loop.run)
            assert (await stage.loop.settled(since=stage.loop.want(stage.loop.desired))).ok
            tasks.cancel_scope.cancel()
        assert all(have.whole for have in stage.engine.things("p").values())
        assert stage.engine.doubled == []

    virtual_time.run(play)


def test_patience_ends_at_the_next_moment_that_somebody_waits_for() -> None:
    async def play() -> None:
        loop = Stage().loop
        assert loop._patience_s() == converge.SLOW_LOOK_S
        loop.plan = replace(loop.plan, wake_at=anyio.current_time() + 0.5)
        assert loop._patience_s() == pytest.approx(0.5)
        loop.plan = replace(loop.plan, wake_at=-math.inf)
        assert loop._patience_s() == 0

    virtual_time.run(play)
