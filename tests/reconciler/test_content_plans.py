"""Plans after another content of configs, secrets and env files, by their policies."""

import base64
from typing import Any

import pytest
from scenes import Scene, needs, project, service

from reconciler.resource import Verb


def said(content: str = "one", variable: str = "1", *, on_change: Any = None, **fields: Any) -> dict[str, Any]:
    """A project whose service `a` has a config and a variable of an env file; `b` wants to be restarted with it."""
    ours = (
        {"x-corral": {"on_change": {"*": on_change} if isinstance(on_change, str) else on_change}} if on_change else {}
    )
    uses = {"configs": [{"source": "c", "target": "/etc/c"}], "environment": {"V": variable, "W": "w"}}
    a = service(**uses, file_variables=["V"], **ours, **fields)
    b = service(depends_on={"a": needs(restart=True)})
    data = base64.b64encode(content.encode()).decode()
    return {**project({"a": a, "b": b}), "configs": {"c": {"name": "c", "data": data}}}


def verbs(scene: Scene, which: str = "container:a") -> list[Verb]:
    return [step.verb for step in scene.forecast().steps if step.id == which]


def plan_after(old: dict[str, Any], new: dict[str, Any]) -> Scene:
    return Scene().up(old).come_true().up(new)


RESTART = [Verb.STOP, Verb.UPDATE, Verb.START]
ANEW = [Verb.STOP, Verb.REMOVE, Verb.CREATE, Verb.START]


@pytest.mark.parametrize(
    ("word", "expected", "line"),
    [
        (None, ANEW, "± container:a  replace  /etc/c has another content"),
        ("recreate", ANEW, "± container:a  replace  /etc/c has another content"),
        ("restart", RESTART, "~ container:a  update   restarts: /etc/c has another content"),
        ("signal:HUP", [Verb.UPDATE], "~ container:a  update   /etc/c has another content, SIGHUP, live"),
        ("ignore", [Verb.UPDATE], "~ container:a  update   /etc/c has another content, from its next start on, live"),
    ],
)
def test_another_content_of_a_config(word: str | None, expected: list[Verb], line: str) -> None:
    scene = plan_after(said(on_change=word), said("two", on_change=word))
    assert line in scene.plan()
    assert verbs(scene) == expected
    assert verbs(scene, "container:b") == ([Verb.STOP, Verb.START] if Verb.STOP in expected else [])
    scene.come_true()
    assert scene.plan().endswith("are as declared")
    assert scene.steps() == ""


@pytest.mark.parametrize(
    ("words", "expected", "line"),
    [
        ("signal:HUP", ANEW, "environment V 1 -> 2"),
        ({"env_file": "restart"}, RESTART, "restarts: env_file has another V"),
        ({"env_file": "ignore"}, [Verb.UPDATE], "env_file has another V, from its next start on, live"),
    ],
)
def test_another_content_of_an_env_file(words: Any, expected: list[Verb], line: str) -> None:
    scene = plan_after(said(on_change=words), said(variable="2", on_change=words))
    assert line in scene.plan()
    assert verbs(scene) == expected
    scene.come_true()
    assert scene.desired.wanted["container:a"].config == scene.things["container:a"].config


def test_a_variable_of_the_file_itself_is_another_matter() -> None:
    new = said(on_change="restart")
    new["services"]["a"]["environment"]["W"] = "x"
    assert verbs(plan_after(said(on_change="restart"), new)) == ANEW


def test_what_does_not_run_is_changed_as_it_is() -> None:
    scene = Scene().up(said(on_change="restart", restart="no")).come_true().exit("container:a", 0)
    assert verbs(scene.up(said("two", on_change="restart", restart="no"))) == [Verb.UPDATE]


def test_another_policy_changes_nothing_that_runs() -> None:
    scene = plan_after(said(), said(on_change="restart"))
    assert verbs(scene) == [Verb.UPDATE]
    assert "on_change of /etc/c recreate -> restart, live" in scene.plan()


def test_two_reasons_of_which_one_asks_for_a_new_container() -> None:
    assert verbs(plan_after(said(on_change="restart"), said("two", on_change="restart", command=["x"]))) == ANEW


def test_a_daemon_that_died_between_stop_and_update_goes_on() -> None:
    scene = plan_after(said(on_change="restart"), said("two", on_change="restart"))
    [stop] = [step for step in scene.forecast().steps if step.id == "container:a" and step.verb is Verb.STOP]
    from reconciler import forecast

    forecast.perform(stop, scene.things, scene.now, "")
    assert verbs(scene) == [Verb.UPDATE, Verb.START]
