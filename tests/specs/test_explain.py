"""`config --explain`: which file, line and step a value came from, and what it replaced."""

from typing import Any

import pytest

from specs import errors, history, loader
from specs.normal import document as normal
from specs.telling import explain

FILES = {
    "compose.yaml": """\
        include: [inc/compose.yaml]
        services:
          web:
            extends: {file: base.yaml, service: base}
            image: nginx
            environment: {MODE: dev, SHELLY: , "a.b": x}
            ports: ["80:80", "81:81"]
            env_file: ./e
            labels: {gone: "1"}
            links: [db]
          db: {image: "pg:$$x"}
        """,
    "base.yaml": """\
        services:
          root: {image: r, environment: {MODE: root, DEEP: "1"}}
          base:
            extends: root
            environment:
              - MODE=base
            command: [a, b]
            ports: ["80:80"]
        """,
    "compose.override.yaml": """\
        services:
          web:
            environment:
              MODE: ${MODE:-prod}-${TAG}
            ports: [{target: 80, published: "80", mode: host}]
            labels: {gone: !reset null}
        """,
    "inc/compose.yaml": """\
        services:
          inc: {image: "x:${V}${W-1}${X+2}"}
        """,
    "inc/.env": "V=9\n",
    ".env": "A=1\nTAG=77\n",
    "e": "X=1\n#\nFILED=yes\n",
}


@pytest.fixture
def ask(folder: Any) -> Any:
    folder.write(FILES)

    def told(path: str, **options: Any) -> list[explain.Explained]:
        past, environment = history.History(), {"SHELLY": "hey", "HOME": "/h", **options.pop("environment", {})}
        given = loader.LoadOptions(cwd=str(folder.path), environment=environment, **options)
        prepared = loader.prepare(given, history=past)
        found = normal.of(prepared)
        around = (prepared.variables, str(folder.path), str(folder.path), given.project_name)
        return explain.explain(path, explain.Sources(found.document, prepared.document, past, environment, *around))

    return told


def places(each: explain.Explained) -> list[tuple[str, Any, str]]:
    return [(":".join(map(str, origin.place)), origin.value, origin.step) for origin in each.origins]


def test_a_value_and_all_that_it_replaced(ask: Any) -> None:
    [told] = ask("services.web.environment.MODE")
    assert (told.path, told.value) == (("services", "web", "environment", "MODE"), "prod-77")
    assert places(told) == [
        ("base.yaml:2:34", "root", "base extends root"),
        ("base.yaml:6:9", "base", "web extends base"),
        ("compose.yaml:6:19", "dev", ""),
        ("compose.override.yaml:4:7", "prod-77", "laid over what was before it"),
    ]
    last = told.origins[-1]
    assert last.written == "${MODE:-prod}-${TAG}"
    assert last.variables == (
        explain.Used("MODE", "prod", "is not set: the default that the file gives"),
        explain.Used("TAG", "77", ".env:2"),
    )


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("services.web.environment.a.b", "x", [("compose.yaml:6:40", "x", "")]),
        ("services.web.environment.FILED", "yes", [("e:3:1", "yes", "env_file of compose.yaml:8:5")]),
        ("services.web.command[1]", "b", [("base.yaml:7:18", "b", "web extends base")]),
        (
            "services.web.ports[0].target",
            80,
            [
                ("base.yaml:8:13", 80, "web extends base"),
                ("compose.yaml:7:13", 80, ""),
                ("compose.override.yaml:5:14", 80, "laid over what was before it"),
            ],
        ),
        ("services.inc.image", "x:91", [("inc/compose.yaml:2:9", "x:91", "included by compose.yaml")]),
    ],
)
def test_where_it_is_from(ask: Any, path: str, value: Any, expected: list[tuple[str, Any, str]]) -> None:
    [told] = ask(path)
    assert (told.value, places(told)) == (value, expected)


def test_variables_of_an_included_project_and_of_the_shell(ask: Any) -> None:
    [told] = ask("services.inc.image")
    assert [used.source for used in told.origins[0].variables] == [
        "inc/.env:1",
        "is not set: the default that the file gives",
        "is not set: an empty text stands for it",
    ]
    [told] = ask("services.web.environment.SHELLY")
    assert (told.value, told.origins[0].variables) == ("hey", (explain.Used("SHELLY", "hey", "of the shell"),))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("services.web.ports[0].protocol", "what the short form means"),
        ("services.web.networks.default", "a service that names no network is in the default one"),
        ("services.web.depends_on.db.restart", "links of the service say so"),
        ("networks.default.name", "the project's name and the key, where no name is given"),
        ("services.web.entrypoint", "the image's own"),
    ],
)
def test_what_no_file_says(ask: Any, path: str, why: str) -> None:
    [told] = ask(path)
    assert (told.origins, told.implied) == ((), why)


def test_the_projects_name(ask: Any, folder: Any) -> None:
    assert ask("name")[0].implied == "the name of the folder"
    assert ask("name", project_name="q")[0].implied == "-p"
    assert ask("name", environment={"COMPOSE_PROJECT_NAME": "q"})[0].implied == "COMPOSE_PROJECT_NAME, of the shell"
    folder.write({"compose.override.yaml": "name: mine\n"})
    assert places(ask("name")[0]) == [("compose.override.yaml:1:1", "mine", "laid over what was before it")]


def test_all_of_a_service(ask: Any) -> None:
    paths = [errors.dotted(each.path) for each in ask("services.db")]
    assert paths == [
        "services.db.command",
        "services.db.entrypoint",
        "services.db.image",
        "services.db.networks.default",
    ]
    assert len(ask("")) > 20


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("services.web.imag", "there is no imag in services.web (did you mean image?)"),
        ("services.wob.image", "there is no wob.image in services (did you mean web?)"),
        ("services.web.ports[2]", "there is no [2] in services.web.ports (it has 2 items, [0] is the first)"),
        ("services.web.image.x", "there is no x in services.web.image (there is nothing below it)"),
        (
            "services.web.labels.gone",
            "compose.override.yaml:6:5: services.web.labels.gone was taken away (by !reset, of what was said before)",
        ),
    ],
)
def test_what_there_is_not(ask: Any, path: str, said: str) -> None:
    with pytest.raises(errors.SpecErrors) as refused:
        ask(path)
    assert str(refused.value) == said
