"""Plans of containers that share a sandbox or a namespace: who follows whom, and who does not."""

import inspect
from typing import Any

import pytest
import scenes
from scenes import Scene, needs, project, service

from engine.types.infos import ContainerInfo
from engine.types.parts import Namespaces, Of, Scope
from reconciler.errors import DeclareError, Ring

IMPLIED = {"x": {"condition": "service_started", "restart": True, "implied": True}}


def says(actual: str, expected: str) -> None:
    assert actual == inspect.cleandoc(expected)


def both(x: Any = None, **y: Any) -> Any:
    """`x`, and `y` that shares something with it."""
    y = {"networks": (), **y} if "network_mode" in y else y
    return project({"x": service(**(x or {})), "y": service(depends_on=IMPLIED, **y)})


def in_network(x: Any = None, **y: Any) -> Any:
    return both(x, network_mode="service:x", **y)


def in_pid(x: Any = None, **y: Any) -> Any:
    return both(x, pid="service:x", **y)


def in_ipc(x: Any = None, **y: Any) -> Any:
    return both({"ipc": "shareable", **(x or {})}, ipc="service:x", **y)


def standing(canonical: Any) -> Scene:
    return Scene().up(canonical).come_true()


def test_one_sandbox_and_its_endpoints_are_enough_for_both():
    scene = Scene().up(in_network())
    says(
        scene.steps(),
        """
        image:host      create   is not there
        network:lab     create   is not there
        sandbox:x       create   is not there
        container:x     create   is not there
        container:y     create   is not there
        endpoint:x/lab  create   is not there
        container:x     start    has not run yet
        container:y     start    has not run yet
        """,
    )
    says(scene.come_true().plan(), "6 resources are as declared")


def test_the_owner_restarts_and_is_replaced_without_the_joiner():
    scene = standing(in_network())
    scene.say(scene.stored.stop(["x"]))
    assert "container:y" not in scene.steps()
    scene = standing(in_network()).up(in_network({"command": ["new"]}))
    assert "container:y" not in scene.steps()


def test_whoever_is_in_a_sandbox_goes_down_and_up_with_it():
    scene = standing(in_network()).up(in_network({"sysctls": {"net.core.somaxconn": "1"}}))
    says(
        scene.steps(),
        """
        container:y     stop     sandbox:x is replaced
        container:x     stop     sandbox:x is replaced
        endpoint:x/lab  remove   sandbox:x is replaced
        sandbox:x       remove   sysctls +net.core.somaxconn=1
        sandbox:x       create   is not there
        endpoint:x/lab  create   is not there
        container:x     start    was stopped
        container:y     start    was stopped
        """,
    )


def test_a_lost_sandbox_brings_both_back():
    scene = standing(in_network()).hit("sandbox:x")
    for name in ("x", "y"):
        scene.exit(f"container:{name}", None, lost=True)
    told = scene.steps()
    assert "container:y     start    ended with its sandbox" in told
    assert told.index("sandbox:x") < told.index("container:x")


@pytest.mark.parametrize("sharing", [in_pid, in_ipc])
def test_who_is_in_the_namespace_of_a_process_stops_before_it_and_starts_after_it(sharing: Any):
    scene = standing(sharing()).up(sharing({"command": ["new"]}))
    says(
        scene.steps(),
        """
        container:y  stop     container:x is replaced
        container:x  stop     command none -> new
        container:x  remove   command none -> new
        container:x  create   is not there
        container:x  start    has not run yet
        container:y  start    was stopped
        """,
    )


@pytest.mark.parametrize("sharing", [in_pid, in_ipc])
def test_stopping_the_one_stops_the_other_until_it_runs_again(sharing: Any):
    scene = standing(sharing())
    scene.say(scene.stored.stop(["x"]))
    says(
        scene.plan(),
        """
        ~ container:x  update   stops: is to be stopped
        ~ container:y  update   restarts: container:x stops
        ! container:y  cannot start: container:x is not started
        6 resources are as declared
        """,
    )
    scene.come_true()
    scene.say(scene.stored.start(["x"], 0.0))
    says(scene.steps(), "container:x  start    was stopped\ncontainer:y  start    was stopped")


def test_who_was_taken_along_starts_whatever_its_policy_once_the_other_runs():
    scene = standing(in_pid({"restart": "always"}, restart="no"))
    scene.exit("container:x", 1).exit("container:y", 137, lost=True, joined=())
    says(
        scene.steps(),
        """
        container:x  start    exited 1, restart: always
        container:y  start    ended with its pid namespace
        """,
    )


def test_who_was_taken_along_by_one_that_stays_down_waits_for_it():
    scene = standing(in_pid({"restart": "no"})).exit("container:x", 1).exit("container:y", 137, lost=True, joined=())
    says(
        scene.plan(),
        """
        ~ container:y  update   starts: ended with its pid namespace
        ! container:x  cannot start: exited 1, restart: no
        ! container:y  cannot start: container:x exited 1
        6 resources are as declared
        """,
    )


def test_an_ipc_namespace_outlives_its_first_process_until_that_runs_again_elsewhere():
    scene = standing(in_ipc({"restart": "always"})).exit("container:x", 1)
    says(
        scene.steps(),
        """
        container:x  start    exited 1, restart: always
        container:y  stop     container:x was started again
        container:y  start    was stopped
        """,
    )
    scene = standing(in_ipc({"restart": "no"})).exit("container:x", 0)
    assert scene.steps() == "", "what is done is no reason to stop another"


def test_a_container_knows_which_run_it_is_in():
    scene = standing(in_pid())
    info, other = scene.things["container:y"].info, scene.things["container:x"].info
    assert isinstance(info, ContainerInfo)
    assert isinstance(other, ContainerInfo)
    assert [(each.slot, each.uid, each.started_at) for each in info.joined] == [("x", other.uid, other.started_at)]


def scopes(**services: Any) -> Any:
    """What y's container shares."""
    return standing(project({name: service(**fields) for name, fields in services.items()}))


def test_names_are_followed_to_whose_namespace_it_is():
    x = {"pid": "host", "ipc": "shareable", "scale": 2}
    scene = scopes(x=x, m={"pid": "service:x", "ipc": "service:x"}, y={"pid": "container:p-m-1", "ipc": "service:m"})
    assert scene.things["container:y"].info.config.namespaces == Namespaces(Scope.HOST, Of("x-1"))
    own = scopes(y={"uts": "host", "cgroup": "host", "ipc": "none"})
    expected = Namespaces(ipc=Scope.NONE, uts=Scope.HOST, cgroup=Scope.HOST)
    assert own.things["container:y"].info.config.namespaces == expected


def test_a_sandbox_may_be_shared_by_way_of_another_and_links_follow():
    scene = scopes(
        x={"container_name": "first"},
        m={"network_mode": "container:first"},
        y={"network_mode": "service:m"},
        z={"links": ["m:alias"]},
    )
    assert [scene.things[f"container:{name}"].info.config.sandbox for name in "xmyz"] == ["x", "x", "x", "z"]
    assert scene.things["sandbox:z"].info.config.links == (("alias", "x"),)


@pytest.mark.parametrize(
    ("services", "why"),
    [
        ({"y": {"pid": "container:nobody"}}, "services.y.pid: project p has no container nobody"),
        ({"x": {}, "y": {"ipc": "container:p-x-1"}}, "services.y.ipc: x does not share its ipc namespace"),
        (
            {"x": {"scale": 0}, "y": {"network_mode": "service:x"}},
            "services.y.network_mode: x has no container to share",
        ),
        ({"y": {"network_mode": "container:p-y-1"}}, "services.y.network_mode: container:p-y-1 leads back to y"),
    ],
)
def test_what_leads_nowhere_is_refused(services: Any, why: str):
    with pytest.raises(DeclareError) as refused:
        scopes(**services)
    assert str(refused.value).startswith(why)


def test_who_waits_for_whose_namespace_it_shares_is_a_ring():
    with pytest.raises(Ring, match="container:x -> container:y -> container:x"):
        scopes(x={"depends_on": {"y": needs()}}, y={"pid": "container:p-x-1"})


def test_up_of_one_service_brings_whose_namespaces_it_shares():
    canonical = project({"x": service(), "y": service(network_mode="service:x"), "z": service(), "w": service()})
    scene = Scene().up(canonical, services=["y"])
    assert {i for i in scene.desired.wanted if i.startswith("container:")} == {"container:x", "container:y"}
    assert scenes.FILES


def test_an_edit_that_turns_round_who_needs_whom_waits_for_nobody_in_a_ring():
    scene = standing(in_pid())
    scene.up(project({"x": service(depends_on={"y": needs()}, command=["new"]), "y": service()}))
    says(
        scene.steps(),
        """
        container:y  stop     pid x -> own
        container:x  stop     command none -> new
        container:x  remove   command none -> new
        container:y  remove   pid x -> own
        container:x  create   is not there
        container:y  create   is not there
        container:y  start    has not run yet
        container:x  start    has not run yet
        """,
    )


# ------------------------------------------------------------------------------------------------ with user namespaces


def refusal(canonical: Any) -> str:
    with pytest.raises(DeclareError) as caught:
        Scene().up(canonical)
    return str(caught.value)


def ids_of(scene: Scene, slot: str) -> Any:
    return scene.desired.wanted[f"container:{slot}"].config.ids  # type: ignore[union-attr]


def test_who_joins_a_sandbox_is_in_its_user_namespace():
    scene = standing(in_network({"userns_mode": "auto"}, pid="service:x"))
    assert ids_of(scene, "y") == ids_of(scene, "x") is not None
    assert scene.seen()["container:y"].state.value == "running"


@pytest.mark.parametrize(
    ("canonical", "said"),
    [
        (in_network({"userns_mode": "auto"}, userns_mode="host"), "x has a user namespace, and this service is to be"),
        (in_network({"userns_mode": "auto"}, privileged=True), "x has a user namespace, and this service is to be"),
        (in_network(userns_mode="auto"), "x has no user namespace, and this service is to have one"),
        (in_pid({"userns_mode": "auto"}), "x has another user namespace"),
        (in_pid({"userns_mode": "auto"}, userns_mode="auto"), "x has another user namespace"),
        (in_ipc(userns_mode="auto"), "x has another user namespace"),
    ],
)
def test_what_cannot_be_shared_between_user_namespaces(canonical: Any, said: str):
    assert said in refusal(canonical)
