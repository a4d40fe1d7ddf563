"""The table of attacks is complete: every row is a test that exists, or a reason why there is nothing to attack, which still is so."""

import ast
import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import pytest

from orchestrator.command_line import cli, unsupported
from orchestrator.daemon import routes, server
from specs import errors, loader, validate
from tests.e2e.attacks import rows

TOP = pathlib.Path(__file__).parent.parent
FOLDERS = ("tests/e2e/attacks", "tests/engine/attacks")


def functions(path: str) -> set[str]:
    tree = ast.parse((TOP / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_names_a_test_or_a_reason_and_every_test_is_in_a_row() -> None:
    assert [row.number for row in rows.ROWS] == list(range(1, 51))
    for row in rows.ROWS:
        assert bool(row.tests) != bool(row.why), row
    named = {test for tests in (*(row.tests for row in rows.ROWS), *rows.OWN.values()) for test in tests}
    paths = {test.partition("::")[0] for test in named}
    there = {f"{path}::{name}" for path in paths for name in functions(path) if name.startswith("test_")}
    assert named <= there, named - there
    attacks = {test for test in there if test.startswith(FOLDERS)}
    assert {str(path.relative_to(TOP)) for folder in FOLDERS for path in (TOP / folder).glob("test_*.py")} <= paths
    assert attacks <= named, attacks - named


class Corral:
    """What corral can do, as its command line, its requests and the files that it takes tell."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def has_not(self, *commands: str) -> None:
        for command in commands:
            assert command not in cli.COMMANDS, f"there is `corral {command}`"
            assert command not in {*routes.ORDERS, *routes.SHARED}, f"the daemon takes {command}"

    def refuses(self, text: str, *said: str) -> None:
        """A file, and says each of these about it."""
        (self._folder / "compose.yaml").write_text(text)
        self.refuses_file("compose.yaml", *said)

    def refuses_file(self, name: str, *said: str) -> None:
        options = loader.LoadOptions(files=(name,), project_name="p", environment={}, cwd=str(self._folder))
        with pytest.raises(errors.SpecErrors) as refused:
            validate.project(loader.load(options).canonical)
        for each in said:
            assert each in str(refused.value)


REMOTE = ("oci://x.example/y", "https://x.example/y.git", "http://x.example/y", "git@x.example:y", "ssh://x.example/y")


def nothing_is_pulled(corral: Corral) -> None:
    corral.has_not("pull", "push", "login", "search", "load", "import")
    assert {"pull", "push"} <= unsupported.WITH_IMAGES
    for image in ("nginx", "x.example/y:1", f"x.example/y@sha256:{64 * '0'}", "oci://x.example/y"):
        corral.refuses(f"services: {{a: {{image: '{image}'}}}}", "is not supported yet: images are host and rootfs:")
        mount = f"{{type: image, source: '{image}', target: /x}}"
        corral.refuses(f"services: {{a: {{image: host, volumes: [{mount}]}}}}", "is no image whose content")


def nothing_is_built(corral: Corral) -> None:
    corral.has_not("build", "buildx", "bake", "commit")
    assert {"build", "commit"} <= unsupported.WITH_IMAGES
    for build in (".", "{context: .}", "{dockerfile_inline: FROM scratch}", "https://x.example/y.git#main:sub"):
        corral.refuses(f"services: {{a: {{build: {build}}}}}", "images are not built yet")


def no_file_is_fetched(corral: Corral) -> None:
    corral.has_not("publish")
    assert "publish" in unsupported.WITH_IMAGES
    for place in REMOTE:
        corral.refuses(f"include: ['{place}']", "is not fetched: files of this machine only")
        corral.refuses(f"include: [{{path: ['{place}']}}]", "is not fetched: files of this machine only")
        extends = f"{{file: '{place}', service: b}}"
        corral.refuses(f"services: {{a: {{image: host, extends: {extends}}}}}", "is not fetched")
        corral.refuses_file(place, "cannot be read: No such file")


def nobody_is_asked_who_he_is(corral: Corral) -> None:
    """A request has no field for it, and no answer depends on it."""
    assert {field.name for field in dataclasses.fields(server.Request)} == {"verb", "path", "version", "body"}
    for request, _ in (*routes.ORDERS.values(), *routes.SHARED.values()):
        assert not {"uid", "gid", "identity", "token", "role"} & set(request._fields), request
    for path in (TOP / "orchestrator/daemon").glob("*.py"):
        assert "PEER" not in path.read_text(), f"{path} looks at who asks"


def nothing_is_plugged_in(corral: Corral) -> None:
    corral.has_not("plugin")
    corral.refuses("networks: {n: {driver: weave}}\nservices: {a: {image: host, networks: [n]}}", "has no plugins")
    corral.refuses("networks: {n: {ipam: {driver: infoblox}}}\nservices: {a: {image: host}}", "has no plugins")
    corral.refuses("volumes: {v: {driver: rexray}}\nservices: {a: {image: host, volumes: [v:/v]}}", "has no plugins")
    corral.refuses("services: {a: {image: host, logging: {driver: loki}}}", "services.a.logging.driver")
    corral.refuses("secrets: {s: {driver: x, name: x}}\nservices: {a: {image: host, secrets: [s]}}", "has no plugins")
    for room in ("engine", "reconciler", "orchestrator/daemon"):
        for path in (TOP / room).rglob("*.py"):
            text = path.read_text()
            assert not any(word in text for word in ("entry_points", "provider_program", "cli-plugins")), path


def nothing_is_checkpointed(corral: Corral) -> None:
    corral.has_not("checkpoint", "restore", "migrate")
    for path in (*(TOP / "orchestrator").rglob("*.py"), *(TOP / "engine").rglob("*.py")):
        assert "criu" not in path.read_text().lower(), path
    for command in cli.COMMANDS:
        assert "checkpoint" not in cli.command_parser(command, cli.module_of(command)).format_help(), command


STILL_SO: Mapping[str, Callable[[Corral], None]] = {
    rows.NO_PULL: nothing_is_pulled,
    rows.NO_BUILD: nothing_is_built,
    rows.NO_FETCHED_FILES: no_file_is_fetched,
    rows.NO_AUTHORISATION: nobody_is_asked_who_he_is,
    rows.NO_PLUGINS: nothing_is_plugged_in,
    rows.NO_CHECKPOINTS: nothing_is_checkpointed,
}


def test_every_reason_is_one_that_is_checked() -> None:
    assert {row.why for row in rows.ROWS} - {""} == STILL_SO.keys()


@pytest.mark.parametrize("why", STILL_SO)
def test_a_reason_holds_as_long_as_corral_cannot_do_what_it_speaks_of(why: str, tmp_path: pathlib.Path) -> None:
    STILL_SO[why](Corral(tmp_path))
