"""The steps of pre_start, hooks and anonymous volumes, as the planner sees them."""

import dataclasses
from typing import Any

import pytest
from scenes import Scene, project, service

from engine.types.configs import ContainerConfig
from engine.types.infos import State
from engine.types.parts import Hook, Logging
from reconciler import definitions
from reconciler.leases import Leases
from reconciler.resource import Needs

ONE, TWO = {"command": ["one"]}, {"command": ["two"]}


def scene(**fields: Any) -> Scene:
    return Scene().up(project({"a": service(**fields)})).come_true()


def test_steps_come_one_after_the_other_and_before_their_service() -> None:
    stage = Scene().up(project({"a": service(pre_start=[ONE, TWO])}))
    order = [step.id for step in stage.forecast().steps if step.verb == "start"]
    assert order == ["container:a/pre_start-0", "container:a/pre_start-1", "container:a"]


def test_what_has_succeeded_stays_done_until_the_service_is_made_anew() -> None:
    stage = scene(pre_start=[ONE])
    assert stage.steps() == ""
    stage.up(project({"a": service(pre_start=[ONE], labels={"l": "1"})}))
    assert [step.id for step in stage.forecast().steps] == ["container:a"]
    stage.up(project({"a": service(pre_start=[ONE], command=["other"])}))
    order = [(step.verb, step.id) for step in stage.forecast().steps if step.id.startswith("container:")]
    assert [step for step in order if step[0] == "start"] == [
        ("start", "container:a/pre_start-0"),
        ("start", "container:a"),
    ]
    assert order.index(("stop", "container:a")) < order.index(("start", "container:a/pre_start-0"))


def test_a_step_that_was_made_anew_for_nothing_has_its_service_made_anew_too() -> None:
    """An edit that came and went."""
    stage = scene(pre_start=[ONE])
    stage.hit("container:a/pre_start-0", state=State.MADE)
    changes = {change.id: change.reasons for change in stage.forecast().changes}
    assert changes["container:a"] == ("restarts: container:a/pre_start-0 comes before it",)
    stage.come_true()
    assert stage.steps() == ""


def test_a_step_that_was_lost_waits_again_for_what_it_needs() -> None:
    """Unlike a container, which starts at once: where all was lost, what it needs is not there either."""
    needs = {"depends_on": {"b": {"condition": "service_started"}}}
    stage = Scene().up(project({"a": service(pre_start=[ONE], **needs), "b": service()})).come_true()
    stage.exit("container:a/pre_start-0", 137, lost=True).hit("container:b", state=State.MADE)
    stage.hit("container:a", state=State.MADE)
    starts = [step.id for step in stage.forecast().steps if step.verb == "start"]
    assert starts == ["container:b", "container:a/pre_start-0", "container:a"]


def test_one_step_for_all_replicas_or_one_for_each() -> None:
    each = {**TWO, "per_replica": True}
    stage = scene(pre_start=[ONE, each], scale=2)
    steps = sorted(have for have in stage.things if "pre_start" in have)
    assert steps == ["container:a-1/pre_start-1", "container:a-2/pre_start-1", "container:a/pre_start-0"]


@pytest.mark.parametrize("is_first", [True, False])
def test_one_replica_more_runs_its_own_steps_only(is_first: bool) -> None:
    each = {**TWO, "per_replica": True}
    steps = [each, ONE] if is_first else [ONE, each]
    stage = scene(pre_start=steps, scale=2)
    before = stage.uids()
    stage.up(project({"a": service(pre_start=steps, scale=3)}))
    starts = [step.id for step in stage.forecast().steps if step.verb == "start"]
    assert starts == [f"container:a-3/pre_start-{steps.index(each)}", "container:a-3"]
    stage.come_true()
    assert before.items() <= stage.uids().items()


def test_a_step_for_all_that_was_made_anew_has_each_replicas_own_step_run_again() -> None:
    """Also in the sandboxes that it does not run in itself."""
    each = {**TWO, "per_replica": True}
    stage = scene(pre_start=[ONE, each], scale=2)
    stage.hit("container:a/pre_start-0", state=State.MADE)
    starts = [step.id for step in stage.forecast().steps if step.verb == "start"]
    assert starts[0] == "container:a/pre_start-0"
    assert {"container:a-1/pre_start-1", "container:a-2/pre_start-1"} < set(starts[1:])
    stage.come_true()
    assert stage.steps() == ""


def test_a_container_is_started_when_its_post_start_are_done() -> None:
    stage = scene(post_start=[ONE])
    stage.hit("container:a", hooked=False)
    needy = project({"a": service(post_start=[ONE]), "b": service(depends_on={"a": {"condition": "service_started"}})})
    blocked = {each.id: each for each in stage.up(needy).forecast().blocked}
    assert not blocked, "it is hoped that they will be"
    stage.exit("container:a", 1, hooked=False, error="post_start[0] (one) exited 1")
    blocked = {each.id: each for each in stage.up(needy).forecast().blocked}
    assert "post_start[0] (one) exited 1" in blocked["container:b"].why


def test_a_change_of_post_start_is_a_new_container_and_one_of_pre_stop_is_live() -> None:
    stage = scene()
    assert "post_start +one, replace" in replaced(stage.up(project({"a": service(post_start=[ONE])})))
    assert [step.verb for step in stage.up(project({"a": service(pre_stop=[ONE])})).forecast().steps] == ["update"]


def replaced(stage: Scene) -> str:
    return "; ".join(f"{', '.join(change.reasons)}, {change.action}" for change in stage.forecast().changes)


def test_a_definition_is_the_same_for_a_version_that_knows_more_words() -> None:
    config = ContainerConfig("p-a-1", "p", "a", 1, "a", "a", "host")
    said = definitions.digest_of(config)
    assert said == definitions.digest_of(dataclasses.replace(config, logging=Logging(), labels=()))
    assert said != definitions.digest_of(dataclasses.replace(config, post_start=(Hook(("x",)),)))


def test_an_anonymous_volume_is_kept_for_the_successor_and_forgotten_by_a_down() -> None:
    mounts = [{"type": "volume", "target": "/data"}]
    document = project({"a": service()})
    document["services"]["a"]["volumes"] = mounts
    stage = Scene().up(document).come_true()
    (key,) = (have for have in stage.things if have.startswith("volume:"))
    document["services"]["a"]["command"] = ["other"]
    stage.up(document).come_true()
    assert [have for have in stage.things if have.startswith("volume:")] == [key]
    stage.say(stage.stored.down()).come_true()
    assert [have for have in stage.things if have.startswith("volume:")] == [key], "data is sacred"
    stage.up(document).come_true()
    assert len([have for have in stage.things if have.startswith("volume:")]) == 2
    stage.say(stage.stored.down(purge=True)).come_true()
    assert not [have for have in stage.things if have.startswith("volume:")]


def test_leases_of_before_there_were_anonymous_volumes_are_read() -> None:
    assert Leases.from_json({"subnets": {}, "addresses": {}, "ports": {}}) == Leases()


@pytest.mark.parametrize("needs", list(Needs))
def test_every_condition_of_a_hooked_container_is_met_or_may_come(needs: Needs) -> None:
    from reconciler.kinds import container

    stage = scene(post_start=[ONE])
    stage.hit("container:a", hooked=False)
    met = container.meets(stage.things["container:a"], needs)
    assert met.met or met.hope
