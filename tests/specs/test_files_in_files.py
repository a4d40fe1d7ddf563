"""`extends` and `include`: what other files say, with their own folders and variables."""

from typing import Any

import pytest


@pytest.mark.key("services.extends")
def test_a_service_is_laid_over_what_it_extends(folder: Any) -> None:
    service = folder.load(
        "services:\n"
        "  a: {extends: b, environment: {A: 2}, command: [x]}\n"
        "  b: {image: host, extends: {service: c}, environment: {A: 1, B: 1}, command: [y]}\n"
        "  c: {image: host, user: '7'}\n"
    ).canonical["services"]["a"]
    assert service["environment"] == {"A": "2", "B": "1"}
    assert (service["command"], service["user"]) == (["x"], "7")


def test_paths_of_another_file_begin_in_its_folder(folder: Any) -> None:
    folder.write(
        {
            "deep/base.yaml": "services: {b: {image: 'rootfs:./tree', volumes: ['./data:/data'], env_file: b.env, extends: {file: ../top.yaml, service: c}}}",
            "deep/b.env": "FROM=deep\n",
            "top.yaml": "services: {c: {label_file: top.labels}}",
            "top.labels": "where=top\n",
        }
    )
    found = folder.load("services: {a: {extends: {file: deep/base.yaml, service: b}}}").canonical["services"]["a"]
    assert found["image"] == f"rootfs:{folder.path}/deep/tree"
    assert found["volumes"][0]["source"] == f"{folder.path}/deep/data"
    assert found["environment"] == {"FROM": "deep"}
    assert found["labels"] == {"where": "top"}


def test_resets_take_from_what_is_extended(folder: Any) -> None:
    found = folder.load(
        "services:\n"
        "  a: {extends: b, ports: !reset [], environment: !override {B: 2}}\n"
        "  b: {image: host, ports: ['80'], environment: {A: 1}}\n"
    ).canonical["services"]["a"]
    assert "ports" not in found
    assert found["environment"] == {"B": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{a: {image: host, extends: nobody}}",
            "compose.yaml:1:29: services.a.extends: there is no service nobody (there are a)",
        ),
        (
            "{a: {image: host, extends: b}, b: {image: host, extends: a}}",
            "compose.yaml:1:29: services.a.extends: a cycle: a → b → a",
        ),
        ("{a: {extends: {file: no.yaml, service: b}}}", "services.a.extends: no.yaml: cannot be read: No such file"),
        (
            "{a: {extends: {file: 'https://x.example/a.yaml', service: b}}}",
            "is not fetched: files of this machine only",
        ),
        ("{a: {extends: {file: compose.yaml}}}", "services.a.extends: service is missing"),
        ("{a: {extends: {file: empty.yaml, service: b}}}", "services.a.extends: empty.yaml has no services"),
    ],
)
def test_what_cannot_be_extended(folder: Any, text: str, said: str) -> None:
    folder.write({"empty.yaml": "volumes: {a: }"})
    assert said in folder.complaint(f"services: {text}\n")


@pytest.mark.key("include", "include.path", "include.env_file", "include.project_directory")
def test_what_is_included_has_its_own_folder_and_variables(folder: Any) -> None:
    folder.write(
        {
            "sub/compose.yaml": "services: {s: {image: 'rootfs:./$TREE', volumes: ['./d:/d'], networks: [n], environment: [TREE]}}\nnetworks: {n: }",
            "sub/.env": "TREE=tree\nWHO=sub\n",
            "other.yaml": "services: {o: {image: host, environment: {WHO: '${WHO}'}}}",
            "other.env": "WHO=other\n",
            ".env": "WHO=top\n",
        }
    )
    text = "include: [sub/compose.yaml, {path: [other.yaml], env_file: other.env, project_directory: sub}]\nservices: {a: {image: host}}"
    found = folder.load(text).canonical
    assert found["services"]["s"]["image"] == f"rootfs:{folder.path}/sub/tree"
    assert found["services"]["s"]["volumes"][0]["source"] == f"{folder.path}/sub/d"
    assert found["services"]["s"]["environment"] == {"TREE": "tree"}
    assert found["services"]["o"]["environment"] == {"WHO": "top"}, "the project's own go before"
    assert found["networks"].keys() == {"n", "default"}
    again = folder.load(text, environment={"HOME": "/", "WHO": "shell"}).canonical
    assert again["services"]["o"]["environment"] == {"WHO": "shell"}


def test_what_the_file_says_is_laid_over_what_it_includes(folder: Any) -> None:
    folder.write({"sub.yaml": "services: {s: {image: host, environment: {A: 1, B: 1}}}"})
    found = folder.load("include: [sub.yaml]\nservices: {s: {environment: {B: 2}}}").canonical["services"]["s"]
    assert found["environment"] == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("no.yaml", "compose.yaml:1:11: include[0]: no.yaml: cannot be read: No such file"),
        ("oci://x.example/y", "include[0]: 'oci://x.example/y' is not fetched: files of this machine only"),
        ("{env_file: x}", "include[0]: path is missing"),
        ("{path: sub.yaml, env_file: no.env}", "include[0].env_file: cannot read the env file"),
        ("back.yaml", "a cycle"),
        ("wrong.yaml", "wrong.yaml:1:29: services.w.nothing: unknown key 'nothing'"),
        ("7", "include[0]: must be text or a mapping, 7 is a number"),
    ],
)
def test_what_cannot_be_included(folder: Any, item: str, said: str) -> None:
    folder.write(
        {
            "sub.yaml": "services: {s: {image: host}}",
            "back.yaml": "include: [compose.yaml]",
            "wrong.yaml": "services: {w: {image: host, nothing: 1}}",
        }
    )
    assert said in folder.complaint(f"include: [{item}]\nservices: {{a: {{image: host}}}}\n")
