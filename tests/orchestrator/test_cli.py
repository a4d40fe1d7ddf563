"""The command line alone: what is understood, what is refused and how, and that everything has help."""

import io
import json
import pathlib
import subprocess
import sys
import tomllib

import pytest

from orchestrator import errors, version
from orchestrator.command_line import cli, unsupported
from orchestrator.commands import up

TOP = pathlib.Path(__file__).parent.parent.parent


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return cli.run(argv, out, err), out.getvalue(), err.getvalue()


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_that_begins_with_what_it_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("help", command)
    module = cli.module_of(command)
    assert code == 0
    assert out.startswith(f"usage: corral {command}")
    assert module.__doc__
    assert module.__doc__.strip().splitlines()[0] in out
    assert run(command, "--help")[0] == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_flag_and_argument_says_what_it_is_for(command: str) -> None:
    parser = cli.command_parser(command, cli.module_of(command))
    assert [action.dest for action in parser._actions if not action.help] == []


def test_without_a_command_the_help_lists_them_all() -> None:
    for argv in ((), ("help",)):
        code, out, _ = run(*argv)
        assert code == 0
        assert all(f"  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("config", "--lock-image-digests", "web"), "corral config: --lock-image-digests is not supported yet"),
        (("build",), "corral build: not supported yet"),
    ],
)
def test_what_compose_has_and_corral_has_not_yet_is_refused_by_name(argv: tuple[str, ...], said: str) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (1, "")
    assert err.startswith(f"corral: {said}\n")


@pytest.mark.parametrize(
    ("argv", "said", "hint"),
    [
        (("up", "--detatch"), "unknown flag --detatch", "did you mean --detach?"),
        (("up", "--scal=web=2"), "unknown flag --scal", "did you mean --scale?"),
        (("--projekt-name", "x", "up"), "unknown flag --projekt-name", "did you mean --project-name?"),
        (("pss",), "corral has no command 'pss'", "did you mean ps?"),
        (("up", "-p", "x"), "-p goes before the command", "corral -p … up …"),
        (("up", "--wait-timeout", "soon"), "invalid seconds value", "corral up --help"),
        (("daemon", "explode"), "invalid choice", "corral daemon --help"),
        (("version", "web"), "web", "corral version --help"),
        (("up", "--scale", "web"), "cannot use --scale web", "--scale SERVICE=NUMBER"),
    ],
)
def test_what_nobody_knows_is_a_usage_error_with_a_way_out(
    argv: tuple[str, ...], said: str, hint: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("services: {web: {image: host}}\n")
    code, _, err = run(*argv)
    assert code == 1, "2 would mean changes to a script that runs `plan`"
    assert said in err
    assert hint in err


def test_flags_may_come_before_and_after_services() -> None:
    module = cli.module_of("up")
    for words in (["-d", "web", "db"], ["web", "-d", "db"], ["web", "db", "-d"]):
        found = cli.parse_command("up", module, words)
        assert (found.services, found.detach) == (["web", "db"], True)


def test_after_the_service_everything_is_the_command_of_exec() -> None:
    module = cli.module_of("exec")
    found = cli.parse_command("exec", module, ["-T", "-e", "A=1", "web", "sh", "-c", "echo -T; exit 3", "--", "-e"])
    assert (found.service, found.command) == ("web", ["sh", "-c", "echo -T; exit 3", "--", "-e"])
    assert (found.no_tty, found.env) == (True, ["A=1"])
    assert cli.parse_command("exec", module, ["-it", "web", "sh"]).tty


def test_global_flags_are_repeatable_where_compose_has_them_so() -> None:
    options = cli.parse_globals(["-f", "a.yml", "-f", "b.yml", "-p", "x", "--profile", "p", "logs", "-f", "web"])
    assert (options.file, options.project_name, options.profile) == (["a.yml", "b.yml"], "x", ["p"])
    assert (options.command, options.rest) == ("logs", ["-f", "web"])


def test_no_supported_flag_is_in_the_table_of_the_unsupported() -> None:
    parsers = {command: cli.command_parser(command, cli.module_of(command)) for command in cli.COMMANDS}
    below = {f"{name} {verb}": each for name in parsers for verb, each in cli.commands_below(parsers[name]).items()}
    for command, parser in {**parsers, **below}.items():
        assert set(cli._flags_of(parser)).isdisjoint(unsupported.FLAGS.get(command, ())), command
    assert unsupported.COMMANDS.isdisjoint(cli.COMMANDS)
    assert cli.COMMANDS.keys() <= unsupported.FLAGS.keys() <= parsers.keys() | below.keys()
    assert "network create" in unsupported.FLAGS
    assert unsupported.FLAGS["network create"] < unsupported.flags_of("network")
    assert not unsupported.flags_of("volumes"), "which is not below `volume`"


def test_a_switch_of_a_command_below_another_may_have_a_value_as_go_has_it() -> None:
    module = cli.module_of("network")
    found = cli.parse_command("network", module, ["create", "--ipv4=false", "--ipv6=true", "--internal=false", "n"])
    assert (found.ipv4, found.ipv6, found.internal, found.name) == (False, True, False, "n")
    found = cli.parse_command("network", module, ["create", "--internal=true", "n"])
    assert (found.ipv4, found.ipv6, found.internal) == (True, False, True)


def test_the_version_is_that_of_the_package() -> None:
    assert tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"] == version.VERSION
    for argv in (("version",), ("--version",)):
        assert run(*argv)[:2] == (0, f"corral version {version.VERSION}\n")
    assert run("version", "--short")[1] == f"{version.VERSION}\n"
    assert run("version", "--format", "json")[1] == f'{{"version":"{version.VERSION}"}}\n'


@pytest.mark.parametrize("command", ["ps", "up", "down", "exec"])
def test_a_command_starts_without_what_is_slow_to_import(command: str) -> None:
    code = (
        f"import sys, orchestrator.command_line.cli as cli; cli.module_of({command!r})\n"
        "print([name for name in ('anyio', 'pydantic', 'yaml', 'dataclasses', 'inspect', 'subprocess', 'http', 'logging',"
        " 'asyncio', 'networkx', 'pyroute2') if name in sys.modules])"
    )
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(TOP)!r})\n{code}"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_errors_are_printed_with_their_hint_and_without_control_characters() -> None:
    from orchestrator.command_line import output

    err = io.StringIO()
    output.complain(err, errors.DaemonError("no \x1b[31msuch\nthing", hint="try\x07 this"))
    assert err.getvalue() == "corral: no \\x1b[31msuch\nthing\n  try\\x07 this\n"


@pytest.mark.parametrize(
    ("attach", "words", "expected"),
    [
        ({}, "", ()),
        ({}, "a", ("a",)),
        ({"a": False}, "", ("b",)),
        ({"a": False}, "a b", ("b",)),
        ({"a": False, "b": False}, "", ("",)),
        ({}, "--attach b", ("b",)),
        ({"a": False}, "--attach a", ("a",)),
        ({}, "--no-attach a", ("b",)),
        ({}, "a --attach-dependencies", ()),
        ({}, "a --attach-dependencies --no-attach b", ("a",)),
    ],
)
def test_up_does_not_show_what_is_not_to_be_attached(
    attach: dict[str, bool], words: str, expected: tuple[str, ...]
) -> None:
    services = {name: {"attach": attach.get(name, True)} for name in ("a", "b")}
    arguments = cli.parse_command("up", up, words.split())
    assert up.shown_of({"services": services}, arguments) == expected


def test_who_calls_it_docker_compose_is_told_of_the_version_that_it_is_like() -> None:
    def said(*argv: str) -> str:
        out, err = io.StringIO(), io.StringIO()
        assert cli.run(argv, out, err, called_as="docker-compose") == 0, err.getvalue()
        return out.getvalue()

    assert said("version", "--short") == "2.40.3\n"
    assert (
        said("--version")
        == said("-v")
        == said("version")
        == f"Docker Compose version v2.40.3 (corral {version.VERSION})\n"
    )
    assert json.loads(said("version", "-f", "json")) == {"version": "v2.40.3", "corral": version.VERSION}
    assert run("version", "--short")[1] == f"{version.VERSION}\n"


def test_flags_of_run_may_be_written_as_people_write_them() -> None:
    module = cli.module_of("run")
    words = ["--rm", "-it", "-e", "A=1", "web", "sh", "-c", "echo -T --rm=false"]
    found = cli.parse_command("run", module, words)
    assert (found.rm, found.interactive, found.tty, found.env, found.service) == (True, True, True, ["A=1"], "web")
    assert found.command == ["sh", "-c", "echo -T --rm=false"]
    assert not cli.parse_command("run", module, ["--interactive=false", "web"]).interactive
    assert cli.parse_command("run", module, ["--rm=true", "-T", "web"]).rm
    assert not cli.parse_command("run", module, ["--rm=false", "web"]).rm


def test_names_that_docker_compose_had_before_are_known() -> None:
    options = cli.parse_globals(["--no-ansi", "--workdir", "/x", "convert"])
    assert (options.ansi, options.project_directory) == ("never", "/x")
    assert cli.OTHER_NAMES[options.command] == "config"
