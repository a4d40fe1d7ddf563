"""What users do, from the command line through the socket to an engine in memory."""

import json
from typing import Any

import pytest
from fake_lab import TWO, Lab, eventually, rows

from engine.types.infos import ContainerInfo
from orchestrator.daemon import keeper
from reconciler import plan
from reconciler.desired import DesiredState
from reconciler.resource import Plan, Step, Verb


def test_up_starts_everything_and_down_leaves_nothing(lab: Lab) -> None:
    lab.write(TWO)
    _, err = lab.corral("up", "-d")
    assert "container:web  started" in err
    assert {name: row["State"] for name, row in rows(lab).items()} == {"web": "running", "db": "running"}
    lab.corral("down")
    assert rows(lab) == {}
    assert [uid for uid in lab.engine.infos if not uid.startswith("image:")] == []
    eventually(lambda: "no projects" in lab.corral("daemon", "status")[0])
    assert lab.corral("down") == ("", "corral: project demo is not up: nothing to remove\n")


def test_a_second_up_does_nothing_and_plan_says_so(lab: Lab) -> None:
    lab.write(TWO)
    out, _ = lab.corral("plan", code=2)
    assert "+ container:web" in out
    assert rows(lab) == {}, "plan stores and makes nothing"
    assert "no projects" in lab.corral("daemon", "status")[0]
    lab.corral("up", "-d")
    done = list(lab.engine.done)
    out, _ = lab.corral("plan")
    assert "resources are as declared" in out
    lab.corral("up", "-d")
    assert lab.engine.done == done


def test_plan_in_json_names_every_change_and_step(lab: Lab) -> None:
    lab.write(TWO)
    found = json.loads(lab.corral("plan", "--format", "json", code=2)[0])
    assert {"id": "container:db", "action": "create"}.items() <= found["changes"][0].items()
    assert ("container:db", "start") in [(step["id"], step["verb"]) for step in found["steps"]]
    assert found["blocked"] == []


def test_plan_names_an_edit_and_up_makes_it(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    before = rows(lab)
    lab.write(TWO + "    mem_limit: 64m\n")
    out, _ = lab.corral("plan", code=2)
    assert [line for line in out.splitlines() if "mem_limit" in line and "~ container:db" in line]
    lab.corral("up", "-d")
    assert rows(lab).keys() == before.keys()
    assert lab.engine.done.count(("container:db", "create")) == 1
    lab.engine.done.clear()
    lab.corral("up", "-d", "--force-recreate", "web")
    assert ("container:web", "create") in lab.engine.done
    assert not [verb for name, verb in lab.engine.done if name == "container:db"]


def test_stop_start_restart_and_kill(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    first = rows(lab)["web"]
    lab.corral("stop", "web")
    assert rows(lab)["web"]["State"] == "exited"
    assert lab.corral("ps", "--services")[0] == "db\n"
    lab.corral("start", "web")
    assert rows(lab)["web"]["State"] == "running"
    count = lab.engine.done.count(("container:web", "stop"))
    lab.corral("restart", "web")
    assert lab.engine.done.count(("container:web", "stop")) == count + 1
    assert rows(lab)["web"]["State"] == "running"
    assert rows(lab)["web"]["ID"] == first["ID"]
    assert "demo-web-1" in lab.corral("kill", "-s", "KILL", "web")[1]
    eventually(lambda: rows(lab)["web"]["State"] == "exited")
    assert rows(lab)["web"]["ExitCode"] == 137
    assert "web" in lab.corral("stop", "nosuch", code=1)[1]
    assert "no signal" in lab.corral("kill", "-s", "LOUD", code=1)[1]


def test_a_grace_said_by_stop_is_put_back_afterwards(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    graces: list[float] = []

    def watch(step: Step, begins: bool) -> None:
        info = lab.engine.infos.get(step.uid)
        if begins and step.verb is Verb.STOP and isinstance(info, ContainerInfo):
            graces.append(info.config.stop_grace_s)

    lab.engine.watches = watch
    lab.corral("stop", "-t", "0.5", "db")
    assert graces == [0.5]
    eventually(lambda: "stop_grace" not in lab.corral("plan", code=None)[0])


def test_scale_adds_replicas_and_the_next_up_takes_them_away(lab: Lab) -> None:
    lab.write("services: {w: {image: 'rootfs:/srv/root', command: work}}")
    lab.corral("up", "-d", "--scale", "w=3")
    names = [row["Name"] for row in map(json.loads, lab.corral("ps", "--format", "json")[0].splitlines())]
    assert names == ["demo-w-1", "demo-w-2", "demo-w-3"]
    lab.corral("up", "-d")
    assert lab.corral("ps", "--services")[0] == "w\n"
    assert len(lab.corral("ps", "-q")[0].split()) == 1


def test_services_named_to_up_bring_what_they_need(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d", "db")
    assert set(rows(lab)) == {"db"}
    lab.corral("up", "-d", "web")
    assert set(rows(lab)) == {"db", "web"}
    lab.corral("down")
    lab.corral("up", "-d", "--no-deps", "web", code=None)
    assert set(rows(lab)) == {"web"}


def test_what_another_file_of_the_project_declares_is_reported_and_stays_unless_told(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.write("services: {only: {image: 'rootfs:/srv/root', command: x}}", "other.yaml")
    _, err = lab.corral("-f", "other.yaml", "up", "-d")
    assert "service db is declared by other files" in err
    assert set(rows(lab)) == {"web", "db", "only"}
    lab.corral("-f", "other.yaml", "up", "-d", "--remove-orphans")
    assert set(rows(lab)) == {"only"}


def test_an_error_in_the_project_names_file_line_and_column_and_touches_nothing(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    before = list(lab.engine.done)
    lab.write("services:\n  a:\n    image: 'rootfs:/x'\n    networks: [nowhere]\n")
    _, err = lab.corral("up", "-d", code=1)
    assert "compose.yaml:4:" in err
    assert "nowhere" in err
    assert lab.corral("plan", code=1)[1] == err
    lab.write("services:\n  a:\n   image: [\n")
    assert "compose.yaml:" in lab.corral("up", "-d", code=1)[1]
    assert lab.engine.done == before
    assert {row["State"] for row in rows(lab).values()} == {"running"}


def test_up_fails_with_every_reason_when_something_cannot_start(lab: Lab) -> None:
    lab.engine.terminal.add(("container:db", Verb.START))
    lab.write(TWO)
    _, err = lab.corral("up", "-d", code=1)
    assert "container:db: cannot start: " in err
    assert "it never will" in err
    assert "container:web: cannot start: " in err


def test_progress_as_json_is_the_events_and_quiet_is_silent(lab: Lab) -> None:
    lab.write(TWO)
    _, err = lab.corral("--progress", "json", "up", "-d")
    kinds = [json.loads(line)["event"] for line in err.splitlines()]
    assert (kinds[0], kinds[-1]) == ("planned", "settled")
    assert kinds.count("begun") == kinds.count("ended") > 4
    assert lab.corral("--progress", "quiet", "down") == ("", "")


def test_ps_in_a_table_and_only_of_some_services(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lines = lab.corral("ps", "web")[0].splitlines()
    assert lines[0].split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert len(lines) == 2
    assert "0.0.0.0:8080->80/tcp" in lines[1]
    assert "Up " in lines[1]


def test_exec_says_what_it_cannot_find(lab: Lab) -> None:
    lab.write(TWO)
    assert "no project demo is up" in lab.corral("exec", "-T", "web", "ls", code=1)[1]
    lab.corral("up", "-d")
    assert "no such service: nosuch" in lab.corral("exec", "-T", "nosuch", "ls", code=1)[1]
    assert "has no container 3" in lab.corral("exec", "-T", "--index", "3", "web", "ls", code=1)[1]
    lab.corral("stop", "web")
    assert "demo-web-1 is not running" in lab.corral("exec", "-T", "web", "ls", code=1)[1]


def test_config_prints_what_it_would_print_again(lab: Lab) -> None:
    lab.write(TWO)
    first = lab.corral("config")[0]
    lab.write(first)
    assert lab.corral("config")[0] == first
    assert lab.corral("config", "--services")[0].split() == ["db", "web"]
    assert json.loads(lab.corral("config", "--format", "json", "db")[0])["services"].keys() == {"db"}
    assert lab.corral("config", "-q") == ("", "")


def test_config_speaks_as_compose_does(lab: Lab) -> None:
    """Sizes and durations in its forms, and dollars such that what is printed means the same when it is read again."""
    lab.write(
        "services: {web: {image: host, mem_limit: 64m, command: [sh, -c, 'echo $$HOME'], "
        "healthcheck: {test: 'true', interval: 90s}}}\n"
    )
    text = lab.corral("config")[0]
    assert 'mem_limit: "67108864"' in text
    assert "interval: 1m30s" in text
    assert "$$HOME" in text
    service = json.loads(lab.corral("config", "--format", "json")[0])["services"]["web"]
    assert service["command"] == ["sh", "-c", "echo $$HOME"]


def test_the_project_is_named_by_flag_variable_file_or_folder(lab: Lab) -> None:
    lab.write("name: named\n" + TWO)
    lab.corral("up", "-d")
    assert {row["Project"] for row in rows(lab).values()} == {"named"}
    lab.corral("down")
    lab.corral("-p", "flagged", "up", "-d")
    assert rows(lab) == {}
    out, _ = lab.corral("-p", "flagged", "ps", "--format", "json")
    assert {json.loads(line)["Project"] for line in out.splitlines()} == {"flagged"}
    (lab.folder / ".env").write_text("COMPOSE_PROJECT_NAME=fromenv\n")
    lab.corral("-p", "flagged", "down")
    lab.corral("up", "-d")
    assert {row["Project"] for row in rows(lab).values()} == {"fromenv"}


def test_a_loop_that_fails_stops_neither_the_others_nor_itself_for_good(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "FAILED_LOOP_REST_S", 0.01)
    lab.write(TWO)
    lab.corral("-p", "other", "up", "-d", "db")
    real = plan.plan

    def failing(desired: DesiredState, *words: Any, **named: Any) -> Plan:
        if desired.project == "demo" and "container:web" in desired.wanted:
            raise AssertionError("a fault in the planner")
        return real(desired, *words, **named)

    monkeypatch.setattr(plan, "plan", failing)
    assert "the daemon ended in the middle of it" in lab.corral("up", "-d", code=1)[1]
    assert "a fault in the planner" in caplog.text
    lab.corral("-p", "other", "stop", "db")
    monkeypatch.setattr(plan, "plan", real)
    eventually(lambda: {row["State"] for row in rows(lab).values()} == {"running"})
    lab.corral("down")
