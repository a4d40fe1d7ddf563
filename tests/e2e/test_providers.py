"""A service that a program of this machine makes: asked before the containers that need it, ended after them."""

import pathlib
import shlex

import pytest

from tests.e2e.lab import Lab

PROGRAM = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
*metadata) echo '{{"description": "a cloud", "up": {{"parameters": [{{"name": "size", "required": true}}]}}, "stop": {{}}}}';;
*" up "*)
  echo '{{"type": "info", "message": "making it"}}'
  echo '{{"type": "get-service-config"}}'
  read -r config
  echo "$config" > {config}
  echo '{{"type": "setenv", "message": "URL='$(cat {url})'"}}'
  echo '{{"type": "rawsetenv", "message": "TOKEN=secret"}}'
  echo '{{"type": "debug", "message": "x"}}';;
esac
"""
FILE = """
services:
  web: {image: IMAGE, init: true, network_mode: none, command: sleep 1000, depends_on: [db], environment: {OWN: "1"}}
  db: {provider: {type: PROGRAM, options: {size: 5, unknown: x}}}
"""


@pytest.fixture
def calls(lab: Lab) -> pathlib.Path:
    """What the provider was asked, a line each; it is a program of the lab's folder."""
    found, program = lab.folder / "calls", lab.folder / "cloud"
    (lab.folder / "url").write_text("db:1")
    paths = {name: shlex.quote(str(lab.folder / name)) for name in ("calls", "config", "url")}
    program.write_text(PROGRAM.format(**paths))
    program.chmod(0o755)
    lab.write(FILE.replace("PROGRAM", str(program)))
    return found


def asked(calls: pathlib.Path) -> list[str]:
    found = [line for line in calls.read_text().splitlines() if "metadata" not in line]
    calls.write_text("")
    return found


@pytest.mark.key("services.provider", "services.provider.options")
def test_a_provider_lives_with_its_project(lab: Lab, calls: pathlib.Path) -> None:
    said = lab.corral("up", "-d").stderr
    assert "db: making it" in said
    assert asked(calls) == [f"compose --project-name={lab.project} up --size=5 db"]
    assert '"unknown":["x"]' in (lab.folder / "config").read_text()
    assert lab.states() == {"web-1": "running"}
    pid = lab.pid("web")
    assert lab.exec("web", "sh", "-c", "echo $DB_URL $TOKEN $OWN") == "db:1 secret 1\n"
    assert "as declared" in lab.out("plan"), "of what it said last"
    assert asked(calls) == []
    lab.corral("up", "-d")
    assert lab.pid("web") == pid
    (lab.folder / "url").write_text("db:2")
    lab.corral("up", "-d", "web")
    assert lab.exec("web", "sh", "-c", "echo $DB_URL") == "db:2\n"
    assert len(asked(calls)) == 2
    assert "no container" in lab.refusal("plan", "db")
    assert "no container" in lab.refusal("--dry-run", "up", "db")
    lab.corral("up", "-d", "db")
    lab.corral("up", "-d", "--no-deps", "--force-recreate", "web")
    assert lab.exec("web", "sh", "-c", "echo $DB_URL") == "db:2\n"
    assert len(asked(calls)) == 1
    lab.corral("stop", "-t", "0")
    lab.corral("down")
    assert asked(calls) == [f"compose --project-name={lab.project} {verb} db" for verb in ("stop", "down")]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ('#!/bin/sh\necho \'{"type": "error", "message": "no money"}\'; exec sleep 100', "says: no money"),
        ("#!/bin/sh\necho hello", "said what is no message of a provider"),
        ("#!/bin/sh\nexit 3", "failed with exit code 3"),
        ("", "there is no program"),
    ],
)
def test_nothing_is_made_where_a_provider_fails(lab: Lab, calls: pathlib.Path, program: str, said: str) -> None:
    path = lab.folder / "cloud"
    path.write_text(program)
    if not program:
        path.unlink()
    refusal = lab.refusal("up", "-d")
    assert said in refusal
    assert "compose.yaml:4:8: services.db.provider: " in refusal
    assert lab.states() == {}
    assert "services.db.provider: " in lab.refusal("down"), "nobody knows whether it has gone"
    lab.write("services: {web: {image: IMAGE}}")


def test_what_runs_is_taken_down_where_the_files_cannot_be_read_any_more(lab: Lab, calls: pathlib.Path) -> None:
    lab.corral("up", "-d")
    asked(calls)
    lab.write("services:\n  web: {image: IMAGE, provider: {type: x}, commandd: y}\n")
    assert "if they have providers, these are not told" in lab.corral("-p", lab.project, "down").stderr
    assert asked(calls) == []
    assert lab.states() == {}
