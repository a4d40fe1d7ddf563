"""`run` and `rm`: one-offs beside the replicas, from the command line to an engine in memory."""

import json
import re
from typing import Any

import pytest
from fake_lab import TWO, Lab, eventually

from engine.types.infos import ContainerInfo, EndpointInfo, VolumeInfo
from orchestrator.command_line import cli, one_off
from orchestrator.commands import run
from orchestrator.daemon import keeper
from reconciler.resource import Verb

LAB = """
services:
  web:
    image: "rootfs:/srv/root"
    command: [serve]
    hostname: www
    ports: ["8080:80"]
    volumes: [/cache, "data:/data"]
    networks: {back: {ipv4_address: 10.9.0.9, aliases: [site]}}
    depends_on: [db]
    restart: always
    scale: 1
  db:
    image: "rootfs:/srv/root"
    command: keep
    networks: [back]
networks: {back: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}
volumes: {data: {}}
"""


def all_rows(lab: Lab, *flags: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.corral("ps", "--format", "json", *flags)[0].splitlines()]


def one_offs(lab: Lab) -> list[ContainerInfo]:
    return [each for each in lab.engine.infos.values() if isinstance(each, ContainerInfo) and each.config.run_of]


def names_of(lab: Lab, slot: str) -> tuple[str, ...]:
    found = [
        each for each in lab.engine.infos.values() if isinstance(each, EndpointInfo) and each.config.sandbox == slot
    ]
    return found[0].config.names


def test_a_one_off_is_beside_the_replicas_and_brings_what_it_needs(lab: Lab) -> None:
    lab.write(LAB)
    out, _ = lab.corral("run", "-d", "web", "migrate", "--all")
    (info,) = one_offs(lab)
    assert out.strip() == info.uid
    assert info.config.command == ("migrate", "--all")
    assert re.fullmatch(r"demo-web-run-[0-9a-f]{12}", info.config.name)
    assert {row["Service"] for row in all_rows(lab)} == {"db"}, "as with docker compose, ps shows it with -a only"
    rows = {row["Name"]: row for row in all_rows(lab, "-a")}
    assert set(rows) == {"demo-db-1", info.config.name}
    assert rows[info.config.name]["Service"] == "web"
    assert "com.docker.compose.oneoff=True" in rows[info.config.name]["Labels"]
    assert (info.config.ports, info.config.restart.name) == ((), "no")
    lab.corral("up", "-d")
    assert [row["Name"] for row in all_rows(lab)] == ["demo-db-1", "demo-web-1"]
    assert one_offs(lab)[0].uid == info.uid, "it survives an up"
    assert "resources are as declared" in lab.corral("plan")[0]
    lab.corral("stop")
    assert one_offs(lab)[0].state == "running", "as with docker compose, stop leaves it"
    lab.corral("down")
    assert one_offs(lab) == []


def test_a_one_off_has_names_and_an_address_of_its_own(lab: Lab) -> None:
    lab.write(LAB)
    lab.corral("up", "-d")
    lab.corral("run", "-d", "web")
    slot = one_offs(lab)[0].config.slot
    assert {"web", "site", "www"}.isdisjoint(names_of(lab, slot))
    lab.corral("rm", "-sf", slot)
    lab.corral("run", "-d", "--use-aliases", "web")
    assert {"web", "site", "www"} <= set(names_of(lab, one_offs(lab)[0].config.slot))


def test_what_run_says_lies_over_the_file(lab: Lab) -> None:
    lab.write(LAB)
    lab.write("FROM=file\nALSO=x y\n", "more.env")
    words = "-d --no-deps --name special -e A=1$2 -e B --env-from-file more.env -u app -w /tmp -l k=v -p 9000:80 -v extra:/x"
    lab.corral(
        "run",
        *words.split(),
        "-v",
        "/etc:/y:ro",
        "--cap-add",
        "NET_ADMIN",
        "--entrypoint",
        "sh -c",
        "web",
        "echo $HOME",
    )
    (info,) = one_offs(lab)
    config = info.config
    assert (config.name, config.entrypoint, config.command) == ("special", ("sh", "-c"), ("echo $HOME",))
    assert dict(config.environment) == {"A": "1$2", "FROM": "file", "ALSO": "x y"}
    assert (config.user, config.working_dir, dict(config.labels)) == ("app", "/tmp", {"k": "v"})
    assert [(port.host_port, port.container_port) for port in config.ports] == [(9000, 80)]
    assert {"/x", "/y", "/cache", "/data"} == {mount.target for mount in config.mounts}
    assert "NET_ADMIN" in config.security.capabilities
    assert [row["Service"] for row in all_rows(lab, "-a")] == ["web"]
    lab.corral("rm", "-sf")
    lab.corral("run", "-d", "--no-deps", "-P", "web")
    assert [port.host_port for port in one_offs(lab)[0].config.ports] == [8080]


@pytest.mark.parametrize("code", [0, 3])
def test_a_one_off_runs_once_and_rests(lab: Lab, code: int) -> None:
    lab.write(LAB)
    lab.corral("run", "-d", "web")
    lab.engine.exit(one_offs(lab)[0].uid, code)
    eventually(lambda: [row["State"] for row in all_rows(lab, "-a") if row["Service"] == "web"] == ["exited"])
    lab.corral("up", "-d", "--wait")
    lab.write(LAB.replace("[serve]", "[serve, more]").replace("10.9.0", "10.8.0"))
    lab.corral("up", "-d")
    (info,) = one_offs(lab)
    lab.corral("restart")
    lab.corral("up", "-d", "--force-recreate")
    lab.kill()
    lab.start()
    lab.corral("up", "-d")
    starts = lab.engine.done.count((f"container:{info.config.slot}", "start"))
    assert (starts, one_offs(lab)[0].uid, one_offs(lab)[0].code) == (1, info.uid, code)


def test_a_one_off_whose_sandbox_is_lost_does_not_start_again(lab: Lab) -> None:
    lab.write(LAB)
    lab.corral("run", "-d", "web")
    (info,) = one_offs(lab)
    lab.engine.vanish(info.sandbox_uid)
    eventually(lambda: one_offs(lab)[0].state == "exited")
    lab.corral("up", "-d")
    assert lab.engine.done.count((f"container:{info.config.slot}", "start")) == 1


def test_rm_at_its_end_takes_it_and_its_anonymous_volumes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write(LAB)
    lab.corral("run", "-d", "--rm", "web")
    (info,) = one_offs(lab)
    assert len([each for each in lab.engine.infos.values() if isinstance(each, VolumeInfo)]) == 2
    lab.kill()
    lab.engine.exit(info.uid, 0)
    lab.start()
    eventually(lambda: not one_offs(lab))
    eventually(lambda: [v.config.key for v in lab.engine.infos.values() if isinstance(v, VolumeInfo)] == ["data"])
    assert [row["Service"] for row in all_rows(lab, "-a")] == ["db"]


def test_what_left_the_file_stays_for_a_one_off_that_needs_it(lab: Lab) -> None:
    lab.write(LAB)
    lab.corral("run", "-d", "web")
    lab.write("services: {other: {image: 'rootfs:/srv/root', command: x}}")
    lab.corral("up", "-d")
    (info,) = one_offs(lab)
    assert names_of(lab, info.config.slot)
    assert info.state == "running"
    assert {row["Service"] for row in all_rows(lab, "-a")} == {"web", "other"}


def test_one_that_cannot_run_is_refused_or_taken_back(lab: Lab) -> None:
    lab.write(LAB)
    assert "no such service: x" in lab.corral("run", "-d", "x", code=1)[1]
    assert "the command line:" in lab.corral("run", "-d", "-v", "a:b:c:d:e", "web", code=1)[1]
    lab.corral("up", "-d")
    assert "compose.yaml:7:13: services.web.ports" in lab.corral("run", "-d", "-P", "web", code=1)[1]
    assert one_offs(lab) == []


def test_rm_removes_what_has_stopped_and_up_brings_it_back(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write(TWO)
    assert "No stopped containers" in lab.corral("rm", "-f")[1]
    lab.corral("up", "-d")
    assert "No stopped containers" in lab.corral("rm", "-f")[1]
    lab.corral("stop", "db")
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n", raising=False)
    assert "Are you sure? [yN]" in lab.corral("rm")[1]
    assert {row["Service"] for row in all_rows(lab, "-a")} == {"web", "db"}
    monkeypatch.setattr("sys.stdin.readline", lambda: "y\n", raising=False)
    assert "Going to remove demo-db-1\n" in lab.corral("rm")[1]
    assert {row["Service"] for row in all_rows(lab, "-a")} == {"web"}
    assert all_rows(lab)[0]["State"] == "running"
    assert "+ container:db" in lab.corral("plan", code=2)[0]
    lab.corral("up", "-d")
    assert {row["Service"] for row in all_rows(lab)} == {"web", "db"}
    lab.corral("rm", "-f", "-s")
    eventually(lambda: "no projects" in lab.corral("daemon", "status")[0])


def test_rm_takes_anonymous_volumes_when_told(lab: Lab) -> None:
    lab.write(LAB)

    def volumes() -> set[str]:
        return {each.config.key for each in lab.engine.infos.values() if isinstance(each, VolumeInfo)}

    lab.corral("up", "-d")
    lab.corral("rm", "-s", "-f", "web")
    assert len(volumes()) == 2
    lab.corral("up", "-d")
    assert len(volumes()) == 3, "the new container has a new one"
    lab.corral("rm", "-s", "-f", "-v", "web")
    assert len(volumes()) == 2
    assert "data" in volumes(), "one with a name is never removed so"


def test_an_older_record_has_no_one_offs(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    from reconciler.stored import Stored

    stored = Stored("demo").up(("/f",), {"name": "demo", "services": {}}, 1.0)
    old = stored.to_json()
    del old["purged"], old["overlay"]["runs"]
    assert Stored.from_json(old) == stored


def test_the_words_of_a_terminal_are_yaml_whatever_is_in_them() -> None:
    from specs.files import source

    words = ["run", "-e", "A=\x7f\u2028😀 \"'\\ $x\n#: {", "web", "--", "- !x &a *b"]
    arguments = cli.parse_command("run", run, words[1:])
    (document,) = source.documents(one_off.document(arguments, {}, tty=False, stdin_open=True), "x")
    web = document.mapping()["services"].mapping()["web"].mapping()
    assert [each.value for each in web["environment"].sequence()] == [words[2].replace("$", "$$")]
    assert [each.value for each in web["command"].sequence()] == ["- !x &a *b"]


def test_what_is_heard_is_given_time(lab: Lab) -> None:
    from dataclasses import replace

    from reconciler.one_offs import OneOff

    lab.write(LAB)
    lab.corral("run", "-d", "web")
    info = replace(one_offs(lab)[0], state="exited", ended_at=100.0)
    heard = OneOff("web", {}, {}, may_start=True, brief=True, heard=True)
    assert not keeper._is_over(info, heard, 100.0 + keeper.HEARD_REST_S / 2)
    assert keeper._is_over(info, heard, 101.0 + keeper.HEARD_REST_S)
    assert keeper._is_over(info, replace(heard, heard=False), 100.0)
    assert not keeper._is_over(info, replace(heard, brief=False), 500.0)


def test_one_that_has_ended_holds_up_no_edit(lab: Lab) -> None:
    shared = "services:\n  a: {image: 'rootfs:/srv/root', command: x, ipc: shareable}\n"
    lab.write(shared + "  b: {image: 'rootfs:/srv/root', command: y, ipc: 'service:a'}\n")
    lab.corral("up", "-d")
    lab.corral("run", "-d", "b")
    lab.write("services:\n  a: {image: 'rootfs:/srv/root', command: x}\n")
    assert "does not share its ipc namespace" in lab.corral("up", "-d", code=1)[1], "one that runs does"
    lab.engine.exit(one_offs(lab)[0].uid, 0)
    eventually(lambda: one_offs(lab)[0].state == "exited")
    lab.corral("up", "-d")
    assert one_offs(lab) == []


def test_plan_shows_what_counts_beside_the_file(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    assert "=" not in lab.corral("plan")[0]
    lab.corral("run", "-d", "--no-deps", "web")
    lab.corral("scale", "db=2")
    lab.corral("stop", "db")
    said = f"{one_offs(lab)[0].config.slot}: one-off of web (corral run)"
    lines = lab.corral("plan", "--no-deps", "web")[0].splitlines()
    assert lines[-3:] == ["= db: 2 of it (corral scale)", "= db: stopped (corral stop)", f"= {said}"]
    assert lab.corral("plan", code=2)[0].splitlines()[-1] == f"= {said}", "an `up` takes the others back"
    assert json.loads(lab.corral("plan", "--format", "json", code=2)[0])["beside"] == [said]


def test_a_one_off_does_not_stop_with_what_it_depends_on(lab: Lab) -> None:
    lab.write(TWO.replace("depends_on: [db]", "depends_on: {db: {condition: service_started, restart: true}}"))
    lab.corral("up", "-d")
    lab.corral("run", "-d", "web")
    lab.corral("restart", "db")
    assert lab.engine.done.count(("container:web", "stop")) == 1
    assert one_offs(lab)[0].state == "running"


def test_one_that_is_not_made_yet_can_be_taken_back(lab: Lab) -> None:
    lab.write(TWO)
    lab.engine.faults["image:rootfs:/srv/root", Verb.CREATE] = 1e9
    assert "container:web-run-" in lab.corral("run", "-d", "web", code=1)[1]
    assert one_offs(lab) == []
    assert "run" not in lab.corral("plan", code=None)[0]
