import io
import os
import pathlib
from typing import Any

import pytest

from specs import errors

SERVICE = "services: {a: {image: host, hostname: '${WHO:-nobody}'}}"


def hostname(loaded: Any) -> str:
    found: str = loaded.canonical["services"]["a"]["hostname"]
    return found


@pytest.mark.parametrize("name", ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"])
def test_default_names(folder: Any, name: str) -> None:
    folder.write({name: SERVICE})
    assert folder.load().files == (str(folder.path / name),)


def test_the_first_of_several_default_files_is_read_and_the_user_is_told(folder: Any) -> None:
    folder.write({"compose.yaml": SERVICE, "docker-compose.yml": SERVICE})
    loaded = folder.load()
    assert [os.path.basename(file) for file in loaded.files] == ["compose.yaml"]
    assert "only the first is read" in loaded.notes[0]


def test_the_search_goes_up_and_the_folder_found_is_the_projects(folder: Any) -> None:
    folder.write({"compose.yaml": SERVICE, "deep/er/x": ""})
    loaded = folder.load(cwd=str(folder.path / "deep" / "er"))
    assert loaded.project_directory == str(folder.path)


def test_no_file_at_all(folder: Any) -> None:
    with pytest.raises(errors.SpecErrors, match=r"there is no compose.yaml in .* or above"):
        folder.load()


def test_what_only_corral_reads_is_laid_over_all(folder: Any) -> None:
    folder.write(
        {
            "compose.override.yaml": "services: {a: {user: '1', working_dir: /over}}",
            "compose.corral.yaml": "services: {a: {user: '2', x-corral: {pages: {Home: 80}}}}",
        }
    )
    service = folder.load("services: {a: {image: host}}").canonical["services"]["a"]
    assert (service["user"], service["working_dir"]) == ("2", "/over")
    assert service["x-corral"] == {"pages": {"Home": "80"}}
    alone = folder.load(files=("compose.yaml",)).canonical["services"]["a"]
    assert "user" not in alone, "as the override, only without -f"


@pytest.mark.parametrize("name", ["compose.override.yaml", "docker-compose.override.yml"])
def test_an_override_file_beside_a_default_file_is_read_too(folder: Any, name: str) -> None:
    folder.write({"compose.yaml": SERVICE, name: "services: {a: {hostname: over}}"})
    assert hostname(folder.load()) == "over"
    assert hostname(folder.load(files=("compose.yaml",))) == "nobody"


def test_a_file_that_is_not_there(folder: Any) -> None:
    assert folder.complaint("", files=("nope.yaml",)) == "nope.yaml: cannot be read: No such file or directory"


def test_standard_input(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("services: {a: {image: host, x: 1}}"))
    assert folder.complaint("", files=("-",)).startswith("stdin:1:29: services.a.x: unknown key")


def test_compose_file(folder: Any) -> None:
    folder.write({"one.yaml": SERVICE, "two.yaml": "services: {a: {hostname: two}}"})
    assert hostname(folder.load(environment={"COMPOSE_FILE": "one.yaml:two.yaml"})) == "two"
    separated = {"COMPOSE_FILE": "one.yaml,two.yaml", "COMPOSE_PATH_SEPARATOR": ","}
    assert hostname(folder.load(environment=separated)) == "two"


def test_compose_file_may_be_said_in_the_env_file(folder: Any) -> None:
    folder.write({"one.yaml": SERVICE, ".env": "COMPOSE_FILE=one.yaml\nWHO=env\n"})
    assert hostname(folder.load()) == "env"


def test_the_shell_wins_over_the_env_file(folder: Any) -> None:
    folder.write({"compose.yaml": SERVICE, ".env": "WHO=env\n"})
    assert hostname(folder.load()) == "env"
    assert hostname(folder.load(environment={"WHO": "shell"})) == "shell"
    assert hostname(folder.load(environment={"COMPOSE_DISABLE_ENV_FILE": "1"})) == "nobody"


def test_env_files_that_are_named_replace_the_default_one_and_later_ones_win(folder: Any) -> None:
    folder.write({"compose.yaml": SERVICE, ".env": "WHO=env\n", "1.env": "WHO=one\n", "2.env": "WHO=${WHO}-two\n"})
    assert hostname(folder.load(env_files=("1.env", "2.env"))) == "one-two"
    assert hostname(folder.load(environment={"COMPOSE_ENV_FILES": "2.env,1.env"})) == "one"


def test_an_env_file_that_is_not_there(folder: Any) -> None:
    folder.write({"compose.yaml": SERVICE})
    complaint = folder.complaint("", env_files=("no.env",))
    assert complaint == "cannot read the env file /here/no.env: No such file or directory"


def test_an_env_file_that_cannot_be_read_says_its_line(folder: Any) -> None:
    folder.write({"compose.yaml": SERVICE, ".env": "A=1\nB C=2\n"})
    assert folder.complaint("") == "/here/.env:2:1: a variable's name has no spaces, 'B C' has"


def test_the_projects_directory(folder: Any) -> None:
    folder.write({"x/compose.yaml": "services: {a: {image: host, volumes: ['./d:/d']}}", "y/.env": ""})
    source = folder.load(files=("x/compose.yaml",)).canonical["services"]["a"]["volumes"][0]["source"]
    assert source == str(folder.path / "x" / "d")
    loaded = folder.load(files=("x/compose.yaml",), project_directory="y")
    assert loaded.canonical["services"]["a"]["volumes"][0]["source"] == str(folder.path / "y" / "d")


@pytest.mark.parametrize(
    ("option", "variable", "written", "name"),
    [
        ("opt", "env", "file", "opt"),
        ("", "env", "file", "env"),
        ("", "", "file", "file"),
        ("", "", "My Project!", "myproject"),
        ("", "", "${WHO}-x", "me-x"),
        ("", "", "", "folder"),
    ],
)
@pytest.mark.key("name")
def test_the_projects_name(folder: Any, option: str, variable: str, written: str, name: str) -> None:
    folder.write({"_Fol.der/compose.yaml": (f"name: {written}\n" if written else "") + SERVICE})
    environment = {"COMPOSE_PROJECT_NAME": variable, "WHO": "me"}
    loaded = folder.load(project_name=option, environment=environment, cwd=str(folder.path / "_Fol.der"))
    assert loaded.project_name == loaded.canonical["name"] == name


def test_the_projects_name_is_a_variable(folder: Any) -> None:
    assert hostname(folder.load("services: {a: {image: host, hostname: 'x-${COMPOSE_PROJECT_NAME}'}}")) == "x-p"


@pytest.mark.parametrize(
    "options", [{"project_name": "Upper"}, {"project_name": "", "environment": {"COMPOSE_PROJECT_NAME": "-x"}}]
)
def test_a_name_that_is_none(folder: Any, options: dict[str, Any]) -> None:
    folder.write({"compose.yaml": SERVICE})
    assert "is not a project's name" in folder.complaint("", **options)


def test_a_folder_that_gives_no_name(folder: Any) -> None:
    folder.write({"...x/compose.yaml": SERVICE})
    (folder.path / "...x").rename(folder.path / "___")
    with pytest.raises(errors.SpecErrors, match="gives the project no name"):
        folder.load(project_name="", cwd=str(folder.path / "___"))


def test_a_file_that_is_not_utf8(folder: Any) -> None:
    pathlib.Path(folder.path, "compose.yaml").write_bytes(b"services:\n  a\xff: {}\n")
    assert folder.complaint("") == "compose.yaml:2:1: this is not UTF-8"


PROFILES = """
    services:
      always: {image: host}
      dev: {image: host, profiles: [dev, test], networks: [only], volumes: ["v:/v"]}
      prod: {image: host, profiles: [prod]}
    networks: {only: , unused: }
    volumes: {v: }
"""


@pytest.mark.parametrize(
    ("options", "active"),
    [
        ({}, ["always"]),
        ({"profiles": ("dev",)}, ["always", "dev"]),
        ({"profiles": ("prod", "test")}, ["always", "dev", "prod"]),
        ({"profiles": ("*",)}, ["always", "dev", "prod"]),
        ({"services": ("dev",)}, ["always", "dev"]),
        ({"environment": {"COMPOSE_PROFILES": "prod, dev"}}, ["always", "dev", "prod"]),
    ],
)
def test_profiles_select_services_and_what_they_use(folder: Any, options: dict[str, Any], active: list[str]) -> None:
    loaded = folder.load(PROFILES, **options)
    assert list(loaded.canonical["services"]) == active
    assert sorted([*active, *loaded.disabled]) == ["always", "dev", "prod"]
    assert ("only" in loaded.canonical["networks"]) == ("v" in loaded.canonical["volumes"]) == ("dev" in active)
    assert "unused" not in loaded.canonical["networks"]


def test_a_service_that_is_named_must_exist(folder: Any) -> None:
    assert folder.complaint(PROFILES, services=("alway",)) == "no such service: alway (there are always, dev, prod)"


def test_a_dependency_on_an_inactive_service(folder: Any) -> None:
    text = "services:\n  a: {image: host, depends_on: [b]}\n  b: {image: host, profiles: [dev]}\n"
    expected = "services.a.depends_on.b: b is not active, it is of profile dev (add --profile dev)"
    assert folder.complaint(text) == f"compose.yaml:2:33: {expected}"
    optional = text.replace("[b]", "{b: {condition: service_started, required: false}}")
    loaded = folder.load(optional)
    assert loaded.canonical["services"]["a"]["depends_on"] == {}
    assert loaded.notes == ("compose.yaml:2:33: services.a.depends_on.b: b is not active, and not required",)
