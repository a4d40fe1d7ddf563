"""Replicas that differ, as the planner sees them."""

import copy
import textwrap
from typing import Any

import pytest

from reconciler import plan
from reconciler.asking import Recreate
from reconciler.errors import Conflict
from reconciler.resource import Observed
from tests.reconciler.scenes import Scene, project, service, subnet, volume

NETWORKS = {"lab": subnet("10.9.0.0/24")}
VOLUMES = {"data": {"x-corral": {"each": "replica"}}}


def differing(count: int, scale: int | None = None, **more: Any) -> dict[str, Any]:
    """The service `zk` with so many replicas that are each of its own."""
    common = {"scale": scale, **more}
    if scale is None:
        del common["scale"]
    bodies = {
        str(number): service(
            networks={"lab": {"ipv4_address": f"10.9.0.{number + 10}"}},
            hostname=f"zk{number}",
            environment={"MYID": str(number)},
            volumes=[volume("data")],
            **common,
        )
        for number in range(1, count + 1)
    }
    return service(volumes=[volume("data")], **common) | {"replicas": bodies}


def ensemble(count: int, scale: int | None = None, **others: Any) -> dict[str, Any]:
    return project({"zk": differing(count, scale), **others}, networks=NETWORKS, volumes=VOLUMES)


def running(count: int, scale: int | None = None) -> Scene:
    return Scene().up(ensemble(count, scale)).come_true()


def config(scene: Scene, resource_id: str) -> Any:
    have: Observed = scene.things[resource_id]
    return have.config


def test_each_is_made_as_it_is_said() -> None:
    scene = running(3, 3)
    assert [config(scene, f"sandbox:zk-{number}").hostname for number in (1, 2, 3)] == ["zk1", "zk2", "zk3"]
    assert [config(scene, f"endpoint:zk-{number}/lab").address for number in (1, 2, 3)] == [
        "10.9.0.11",
        "10.9.0.12",
        "10.9.0.13",
    ]
    assert [dict(config(scene, f"container:zk-{number}").environment)["MYID"] for number in (1, 2, 3)] == list("123")
    assert [config(scene, f"container:zk-{number}").mounts[0].volume for number in (1, 2, 3)] == [
        "p_data-1",
        "p_data-2",
        "p_data-3",
    ]
    assert {config(scene, f"volume:data-{number}").name for number in (1, 2, 3)} == {"p_data-1", "p_data-2", "p_data-3"}
    assert scene.steps() == ""


def test_names_lead_there_and_back() -> None:
    scene = running(3, 3)
    for number in (1, 2, 3):
        endpoint = config(scene, f"endpoint:zk-{number}/lab")
        assert endpoint.fqdn == f"zk{number}.p"
        assert {f"zk{number}", f"zk{number}.p", "zk"} <= set(endpoint.names)
        assert not {f"zk{other}" for other in (1, 2, 3) if other != number} & set(endpoint.names)


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        (
            {"hostname": "new"},
            """\
            ~ endpoint:zk-2/lab  update   fqdn zk2.p -> new.p, live, names -zk2, -zk2.p, +new, +new.p, live
            ~ sandbox:zk-2       update   hostname zk2 -> new, live
            """,
        ),
        ({"environment": {"MYID": "22"}}, "± container:zk-2  replace  environment MYID 2 -> 22\n"),
        (
            {"networks": {"lab": {"ipv4_address": "10.9.0.50"}}},
            "± endpoint:zk-2/lab  replace  ipv4_address 10.9.0.12 -> 10.9.0.50\n",
        ),
    ],
)
def test_an_edit_touches_the_replica_that_it_changes(edit: dict[str, Any], shown: str) -> None:
    scene, document = running(3, 3), copy.deepcopy(ensemble(3, 3))
    document["services"]["zk"]["replicas"]["2"].update(edit)
    told = scene.up(document).plan()
    assert told.startswith(textwrap.dedent(shown))
    assert [line for line in told.splitlines() if line.endswith("resources are as declared")]
    before = scene.uids()
    scene.come_true()
    assert all("zk-2" in name for name, uid in scene.uids().items() if uid != before[name])


def test_a_replica_that_comes_back_finds_its_volume_and_down_v_removes_all() -> None:
    scene = running(3, 3)
    kept = scene.uids()["volume:data-3"]
    scene.up(ensemble(2, 2)).come_true()
    assert "container:zk-3" not in scene.things
    assert scene.uids()["volume:data-3"] == kept
    scene.up(ensemble(3, 3)).come_true()
    assert scene.uids()["volume:data-3"] == kept
    scene.up(ensemble(1, 1)).come_true()
    scene.say(scene.stored.down()).come_true()
    assert {name for name in scene.things if not name.startswith("image:")} == {f"volume:data-{n}" for n in (1, 2, 3)}
    scene.say(scene.stored.down(purge=True)).come_true()
    assert not [name for name in scene.things if name.startswith("volume:")]


def test_without_a_scale_the_first_keeps_its_name_when_more_are_asked_for() -> None:
    scene = running(1)
    before = scene.uids()
    scene.up(ensemble(3), scale={"zk": 3}).come_true()
    assert {"container:zk", "container:zk-2", "container:zk-3"} <= scene.things.keys()
    assert {name: uid for name, uid in scene.uids().items() if name in before} == before
    assert config(scene, "sandbox:zk-3").hostname == "zk3"


def test_more_than_were_described_is_refused() -> None:
    with pytest.raises(Conflict, match="what replica 2 of it is has not been said"):
        Scene().up(ensemble(1), scale={"zk": 3})


def test_services_share_the_volume_of_their_number() -> None:
    scene = Scene().up(ensemble(2, 2, side=service(scale=2, volumes=[volume("data", "/theirs")]))).come_true()
    for number in (1, 2):
        assert config(scene, f"container:side-{number}").mounts[0].volume == f"p_data-{number}"
    assert len([name for name in scene.things if name.startswith("volume:")]) == 2


def test_who_takes_its_volumes_from_it_has_those_of_the_first() -> None:
    scene = Scene().up(ensemble(2, 2, side=service(scale=2, volumes_from=["zk"]))).come_true()
    assert {config(scene, f"container:side-{number}").mounts[0].volume for number in (1, 2)} == {"p_data-1"}


def test_a_static_address_that_a_larger_scale_meets_is_refused() -> None:
    with pytest.raises(Exception, match=r"10\.9\.0\.12 is taken already"):
        Scene().up(ensemble(2, 2, one=service(networks={"lab": {"ipv4_address": "10.9.0.12"}})))


def test_what_a_command_says_is_said_of_each() -> None:
    scene = running(2, 2)
    scene.say(scene.stored.update(["zk"], {"mem_limit": 1 << 30})).come_true()
    assert {config(scene, f"container:zk-{number}").limits.memory_bytes for number in (1, 2)} == {1 << 30}
    scene.say(scene.stored.disconnect("zk", "p_lab")).come_true()
    assert not [name for name in scene.things if name.startswith("endpoint:")]
    scene.up(ensemble(2, 2)).come_true()
    assert config(scene, "container:zk-2").limits.memory_bytes is None
    assert config(scene, "endpoint:zk-2/lab").address == "10.9.0.12"


def test_ports_of_each_are_its_own() -> None:
    document = ensemble(2, 2)
    for number, body in document["services"]["zk"]["replicas"].items():
        body["ports"] = [{"target": 80, "published": f"808{number}"}, {"target": 81}]
    scene = Scene().up(document).come_true()
    first, second = (
        {port.container_port: port.host_port for port in config(scene, f"container:zk-{n}").ports} for n in (1, 2)
    )
    assert (first[80], second[80]) == (8081, 8082)
    assert first[81] != second[81]


def test_the_plan_names_what_it_makes() -> None:
    assert "volume:data-2" in Scene().up(ensemble(2, 2)).plan()


# ---------------------------------------------------------------------------------------------------------------- leave


LEAVE = {"command": ["drain"], "timeout": 60.0}


def leaving(scale: int, *, leave: Any = LEAVE, **more: Any) -> dict[str, Any]:
    return project({"a": service(scale=scale, **{"x-corral": {"leave": leave}}), **more})


def leaves(scene: Scene) -> dict[str, Any]:
    """The stops that are foretold, and what comes before each."""
    steps = [step for step in scene.forecast().steps if step.verb == "stop"]
    return {step.id: step.leave and step.leave.hook.argv for step in steps}


def test_who_goes_because_of_a_smaller_scale_leaves_first() -> None:
    scene = Scene().up(leaving(3)).come_true()
    scene.up(leaving(1))
    assert leaves(scene) == {"container:a-2": ("drain",), "container:a-3": ("drain",)}
    assert "- container:a-3     remove   no longer declared, and leaves first" in scene.plan()
    assert scene.come_true().steps() == ""
    assert not [name for name in scene.things if "a-2" in name or "a-3" in name]


def test_its_network_stays_until_it_has_left() -> None:
    scene = Scene().up(leaving(2)).come_true()
    now = plan.plan(scene.up(leaving(1)).desired, scene.seen())
    assert [(step.verb, step.id) for step in now.ready] == [("stop", "container:a-2")]
    assert [blocked.id for blocked in now.blocked] == ["endpoint:a-2/lab", "sandbox:a-2"]


def test_it_leaves_by_what_the_file_says_now() -> None:
    scene = Scene().up(leaving(2, leave={"command": ["wrong"]})).come_true()
    assert leaves(scene.up(leaving(1))) == {"container:a-2": ("drain",)}


@pytest.mark.parametrize("words", ["down", "stop", "its service goes", "made anew", "a scale of one now has no number"])
def test_nobody_leaves_otherwise(words: str) -> None:
    scene = Scene().up(leaving(2, other=service())).come_true()
    match words:
        case "down":
            scene.say(scene.stored.down())
        case "stop":
            scene.up(leaving(1, other=service()))
            scene.say(scene.stored.stop(["a"]))
        case "its service goes":
            scene.up(project({"other": service()}))
        case "made anew":
            scene.up(leaving(2, other=service()), recreate=Recreate.NAMED)
        case _:
            scene.up(project({"a": service(**{"x-corral": {"leave": LEAVE}})})).come_true()
            scene.up(project({"a": service(scale=1, **{"x-corral": {"leave": LEAVE}})}))
    assert leaves(scene)
    assert not any(leaves(scene).values())


def test_a_scale_of_the_command_line_counts_too() -> None:
    scene = Scene().up(leaving(1), scale={"a": 3}).come_true()
    assert leaves(scene.up(leaving(1), scale={"a": 2})) == {"container:a-3": ("drain",)}


def test_one_that_does_not_run_has_nothing_to_leave() -> None:
    scene = Scene().up(leaving(2)).come_true().exit("container:a-2", 1)
    assert leaves(scene.up(leaving(1))) == {}
    assert "container:a-2" not in scene.come_true().things


def test_dependencies_that_turn_round_meanwhile_are_no_ring() -> None:
    both = {"x-corral": {"leave": LEAVE}}
    scene = Scene().up(
        project(
            {
                "a": service(scale=2, depends_on={"b": {"condition": "service_started"}}, **both),
                "b": service(scale=2, **both),
            }
        )
    )
    scene.come_true().up(
        project(
            {
                "a": service(scale=1, **both),
                "b": service(scale=1, depends_on={"a": {"condition": "service_started"}}, **both),
            }
        )
    )
    assert leaves(scene) == {"container:a-2": ("drain",), "container:b-2": ("drain",)}
    assert scene.come_true().steps() == ""
