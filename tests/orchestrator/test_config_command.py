"""`corral config`: what it prints, and which part of it."""

import json
import re
from typing import Any

import pytest

FILES = """
services:
  web: {image: "x:${TAG:-1}", depends_on: [db], volumes: ["data:/d"], ports: ["${PORT:-80}:80"]}
  db: {build: ., networks: [n, default], environment: {A: "${REQ:?must}", B: "${ALT:+yes}", D: "${N:-${M:-x}}"}}
  z: {image: q, profiles: [p, r], command: "$$HOME"}
volumes: {data: , u: }
networks: {n: , unused: }
"""


@pytest.fixture
def project(lab: Any) -> Any:
    lab.write(FILES)
    (lab.folder / ".env").write_text("REQ=1\n")
    return lab


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--services",), "db\nweb\n"),
        (("--volumes",), "data\n"),
        (("--networks",), "default\nn\n"),
        (("--images",), "demo-db\nx:1\n"),
        (("--profiles",), "p\nr\n"),
        (("--models",), ""),
        (("-q",), ""),
    ],
)
def test_lists(project: Any, words: tuple[str, ...], expected: str) -> None:
    assert project.corral("config", *words)[0] == expected


def test_a_service_comes_with_what_it_needs(project: Any) -> None:
    assert project.corral("config", "web", "--services")[0] == "db\nweb\n"
    assert project.corral("config", "db", "--services")[0] == "db\n"
    assert "no such service: nobody" in project.corral("config", "nobody", code=1)[1]


def test_variables(project: Any) -> None:
    text = project.corral("config", "--variables")[0]
    assert [line.split() for line in text.splitlines()] == [
        ["NAME", "REQUIRED", "DEFAULT", "VALUE", "ALTERNATE", "VALUE"],
        ["ALT", "false", "yes"],
        ["M", "false", "x"],
        ["N", "false", "${M:-x}"],
        ["PORT", "false", "80"],
        ["REQ", "true"],
        ["TAG", "false", "1"],
    ]
    found = json.loads(project.corral("config", "--variables", "--format", "json")[0])
    assert found["REQ"] == {"Name": "REQ", "DefaultValue": "", "PresenceValue": "", "Required": True}
    assert "REQ=1\n" in project.corral("config", "--environment")[0]


def test_a_hash_follows_what_a_service_says(project: Any) -> None:
    first = project.corral("config", "--hash", "*")[0]
    assert re.fullmatch(r"db [0-9a-f]{64}\nweb [0-9a-f]{64}\n", first)
    assert project.corral("config", "--hash", "web")[0] == first.splitlines()[1] + "\n"
    project.write(FILES.replace("data:/d", "data:/e"))
    second = project.corral("config", "--hash", "*")[0]
    assert second.splitlines()[0] == first.splitlines()[0]
    assert second.splitlines()[1] != first.splitlines()[1]
    assert "no such service: x" in project.corral("config", "--hash", "x", code=1)[1]


def test_what_can_be_left_out(project: Any) -> None:
    as_written = project.corral("config", "--no-interpolate")[0]
    assert "x:${TAG:-1}" in as_written
    assert "${PORT:-80}:80" in as_written
    assert "$$HOME" in as_written
    assert "context: ." in project.corral("config", "--no-path-resolution")[0]
    assert "there is no network default" in project.corral("config", "--no-normalize", code=1)[1]
    assert "demo_data" not in project.corral("config", "--no-normalize", "--no-consistency")[0]


def test_it_can_be_written_to_a_file(project: Any) -> None:
    target = project.folder / "out.yaml"
    assert project.corral("config", "-o", str(target))[0] == ""
    assert target.read_text() == project.corral("config")[0]
    assert "cannot write" in project.corral("config", "-o", str(project.folder / "no" / "x"), code=1)[1]


def test_what_up_refuses_is_said_and_printed(project: Any) -> None:
    out, err = project.corral("config")
    assert "build:" in out
    assert re.search(r"up refuses this: \S*compose.yaml:4:8: services.db.build: images are not built yet", err)


def test_what_is_written_for_corral_is_held_against_corral(lab: Any) -> None:
    lab.write("services: {a: {image: x, x-corral: {pages: {A: 80}}}}\n")
    assert "images are host and rootfs:" not in lab.corral("config")[1]
    lab.write("services: {a: {build: ., x-corral: {pages: {A: 80}}}}\n")
    assert "services.a.build: images are not built yet" in lab.corral("config", code=1)[1]


def test_where_a_value_is_from(project: Any) -> None:
    assert project.corral("config", "--explain", "services.db.environment.D")[0] == (
        "services.db.environment.D: x\n"
        "    compose.yaml:4:93\n"
        "        written ${N:-${M:-x}}\n"
        "        N: ${M:-x}, is not set: the default that the file gives\n"
        "        M: x, is not set: the default that the file gives\n"
    )
    table = project.corral("config", "--explain", "services.web")[0].splitlines()
    assert any(line.split() == ["services.web.image:", "x:1", "compose.yaml:3:9"] for line in table)
    [found] = json.loads(project.corral("config", "--explain", "services.db.environment.A", "--format", "json")[0])
    assert found["value"] == "1"
    assert found["from"][0]["variables"] == [{"name": "REQ", "value": "1", "source": ".env:1"}]
    assert "did you mean web?" in project.corral("config", "--explain", "services.wbe", code=1)[1]


def test_what_bites_later_is_told_and_is_no_error_unless_that_is_asked_for(project: Any) -> None:
    out, err = project.corral("config", "--lint")
    assert ": volumes.u: no service uses the volume u (take it out, or name it in a service)\n" in out
    assert f"{len(out.splitlines())} warnings" in err
    assert project.corral("config", "--lint", "--strict", code=1)[0] == out
    found = json.loads(project.corral("config", "--lint", "--format", "json")[0])
    assert ("volumes.u", 6) in {(each["path"], each["line"]) for each in found}
    project.write("services: {a: {image: host}}\n")
    assert project.corral("config", "--lint", "--strict") == ("", "corral: 0 warnings\n")
