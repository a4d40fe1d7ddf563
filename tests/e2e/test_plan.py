"""`plan` is honest: what it says is what `up` then does, it names only what would change, and touches nothing."""

import json
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

FIRST = """
services:
  web: {image: IMAGE, init: true, command: httpd -f -p 80 -h /www, ports: ["80", "8040:81"], networks: [lab], mem_limit: 64m}
  db: {image: IMAGE, init: true, command: sleep 1000, networks: [lab], volumes: ["data:/data"]}
  app: {image: IMAGE, init: true, command: sleep 1000, networks: [lab], depends_on: [db]}
networks: {lab: {}}
volumes: {data: {}}
"""
CHANGES: dict[
    str, tuple[str, dict[str, str] | None]
] = {  # what becomes of FIRST: and the kinds of change that the plan must name
    "nothing": (FIRST, {}),
    "a limit": (FIRST.replace("64m", "96m"), {"container:web": "update"}),
    "a command": (
        FIRST.replace("sleep 1000, networks: [lab], v", "sleep 999, networks: [lab], v"),
        {"container:db": "replace"},
    ),
    "one more": (
        FIRST.replace(
            "networks: {lab", "  new: {image: IMAGE, init: true, command: sleep 9, networks: [lab]}\nnetworks: {lab"
        ),
        {"container:new": "create", "endpoint:new/lab": "create", "sandbox:new": "create"},
    ),
    "one less": (
        "".join(line for line in FIRST.splitlines(keepends=True) if "  app:" not in line),
        {"container:app": "remove", "endpoint:app/lab": "remove", "sandbox:app": "remove"},
    ),
    "another subnet": (FIRST.replace("lab: {}", "lab: {ipam: {config: [{subnet: 10.64.0.0/24}]}}"), None),
    "a published port": (FIRST.replace("8040:81", "8041:81"), {"container:web": "update"}),
    "a host name": (FIRST.replace("depends_on: [db]", "depends_on: [db], hostname: other"), None),
}


def planned(lab: Lab, *words: str, code: int) -> dict[str, Any]:
    found = json.loads(lab.corral("plan", "--format", "json", *words, code=code).stdout)
    assert isinstance(found, dict)
    return found


def performed(lab: Lab, *words: str) -> list[tuple[str, str]]:
    """(resource, verb) of all that `up` did."""
    said = lab.corral("--progress", "json", "up", "-d", "-t", "0", *words).stderr.splitlines()
    events = [json.loads(line) for line in said if line.startswith("{")]
    assert not [event for event in events if event["event"] == "ended" and event["error"]]
    return sorted((event["id"], event["verb"]) for event in events if event["event"] == "begun")


def steps(found: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((step["id"], step["verb"]) for step in found["steps"])


def test_the_exit_code_is_2_for_changes_0_for_none_and_1_for_an_error(lab: Lab) -> None:
    lab.write(FIRST)
    lab.corral("plan", code=2)
    lab.up()
    lab.corral("plan", code=0)
    lab.write("services: {a: {imag: x}}")
    lab.corral("plan", code=1)


def test_a_plan_touches_nothing(lab: Lab) -> None:
    lab.write(FIRST)
    before = lab.owner.snapshot()
    lab.corral("plan", code=2)
    assert lab.owner.snapshot() == before
    lab.up()
    before, pids = lab.owner.snapshot(), lab.pids()
    lab.write(CHANGES["another subnet"][0])
    lab.corral("plan", code=2)
    assert lab.owner.snapshot() == before
    assert lab.pids() == pids


def test_a_new_project_is_made_as_planned(lab: Lab) -> None:
    lab.write(FIRST)
    found = planned(lab, code=2)
    assert {change["action"] for change in found["changes"]} == {"create"}
    assert performed(lab) == steps(found)


@pytest.mark.parametrize("case", CHANGES.values(), ids=CHANGES)
def test_up_does_exactly_what_the_plan_says(lab: Lab, case: tuple[str, dict[str, str] | None]) -> None:
    text, expected = case
    lab.up(FIRST)
    before = {name: (pid, machine.start_time(pid)) for name, pid in lab.pids().items()}
    lab.write(text)
    found = planned(lab, code=0 if text == FIRST else 2)
    if expected is not None:
        assert {change["id"]: change["action"] for change in found["changes"]} == expected
    assert performed(lab) == steps(found)
    after = {name: (pid, machine.start_time(pid)) for name, pid in lab.pids().items()}
    anew = {
        id_.removeprefix("container:")
        for id_, verb in steps(found)
        if id_.startswith("container:") and verb != "update"
    }
    assert {name.rpartition("-")[0] for name in {*before, *after} if before.get(name) != after.get(name)} == anew
    lab.corral("plan", code=0)


@pytest.mark.parametrize(
    "words", [("--force-recreate",), ("--scale", "db=2"), ("--force-recreate", "--no-deps", "app")]
)
def test_flags_mean_the_same_to_plan_and_up(lab: Lab, words: tuple[str, ...]) -> None:
    lab.up(FIRST)
    found = planned(lab, *words, code=2)
    assert performed(lab, *words) == steps(found)


def test_only_what_would_change_is_named_and_the_rest_is_counted(lab: Lab) -> None:
    lab.up(FIRST)
    everything = planned(lab, code=0)["kept"]
    assert lab.corral("plan").stdout == f"{everything} resources are as declared\n"
    lab.write(CHANGES["a limit"][0])
    lines = lab.corral("plan", code=2).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].split()[:3] == ["~", "container:web", "update"]
    assert "64" in lines[0]
    assert "96" in lines[0]
    assert lines[0].endswith("live")
    assert lines[1] == f"{everything - 1} resources are as declared"


def test_a_port_that_is_left_to_us_is_shown_and_is_the_one_taken(lab: Lab) -> None:
    lab.write(FIRST)
    said = lab.corral("plan", code=2).stdout
    assert lab.corral("plan", code=2).stdout == said
    lab.up()
    port = next(each["PublishedPort"] for each in lab.ps()["web-1"]["Publishers"] if each["TargetPort"] == 80)
    assert 49000 <= port <= 49900
    assert f"takes host port {port}/tcp" in said
    eventually(lambda: lab.machine.tcp(machine.EXTERNAL, port) == machine.EXTERNAL)
    lab.corral("plan", code=0)


def test_what_ended_with_an_error_is_in_the_plan_and_started_again(lab: Lab) -> None:
    lab.up("services: {a: {image: IMAGE, command: 'false'}, b: {image: IMAGE, init: true, command: sleep 1000}}\n")
    eventually(lambda: lab.states()["a-1"] == "exited")
    found = planned(lab, code=2)
    assert steps(found) == [("container:a", "start")]
    assert performed(lab) == steps(found)
