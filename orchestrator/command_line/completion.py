"""What could come next on a command line, for shells: argcomplete asks, in its words.

Slower to import than a command may be: nothing here is imported unless a shell asks.
"""

import argparse
import os
from collections.abc import Callable, Container, Iterable
from typing import Any

import argcomplete

from orchestrator import errors
from orchestrator.command_line import cli

Completer = Callable[..., Iterable[str]]


def answer() -> None:
    """Tell the shell, and end the process."""
    words = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0"))].split()
    parser = _parser(words)
    for each in _parsers(parser):
        for action in each._actions:
            if (completer := COMPLETERS.get(str(action.metavar).partition("=")[0])) is not None:
                action.completer = completer  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options="long")


def _parser(words: Container[str]) -> argparse.ArgumentParser:
    """Global flags and all commands in one parser, with the flags of those that are among the words."""
    parser = argparse.ArgumentParser(prog="corral", allow_abbrev=False)
    cli.add_global_flags(parser)
    commands = parser.add_subparsers(dest="command")
    for name, summary in cli.COMMANDS.items():
        each = commands.add_parser(name, help=summary, allow_abbrev=False)
        if name in words:
            cli.module_of(name).configure(each)
    return parser


def _parsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _parsers(each)


# ------------------------------------------------------------------------------------------------------- what there is


def _document(parsed: argparse.Namespace) -> dict[str, Any]:
    """What the files say; nothing where they are wrong or not there."""
    from specs import errors as spec_errors
    from specs import loader, node

    try:
        options = loader.LoadOptions(
            files=tuple(parsed.file),
            project_name=parsed.project_name,
            project_directory=parsed.project_directory,
            env_files=tuple(parsed.env_file),
            any_image=True,
        )
        found = node.plain(loader.prepare(options).document)
    except spec_errors.SpecErrors:
        return {}
    return found if isinstance(found, dict) else {}


def _services(*, prefix: str, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """Of the files; where there are none, those that run."""
    names = list(_document(parsed_args).get("services") or ())
    if not names and parsed_args.project_name:
        answer = _asked(parsed_args, f"/v1/projects/{parsed_args.project_name}/containers")
        names = sorted({each["service"] for each in answer.get("containers", ())})
    taken = getattr(parsed_args, "services", None)
    return [name for name in names if not isinstance(taken, list) or name not in taken or name == prefix]


def _profiles(*, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    services = _document(parsed_args).get("services") or {}
    return sorted({profile for each in services.values() for profile in each.get("profiles") or ()})


def _on_machine(section: str) -> Completer:
    def names(*, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
        return [each["name"] for each in _asked(parsed_args, f"/v1/{section}").get(section, ())]

    return names


def _labs(**_: object) -> Iterable[str]:
    from orchestrator.command_line import labs

    return list(labs.all_of_them())


def _asked(parsed: argparse.Namespace, url: str) -> dict[str, Any]:
    """The daemon's answer; nothing where none runs: none is started for this."""
    from orchestrator import client, settings

    try:
        return client.ask(settings.places(os.environ, parsed.root, parsed.run).socket, "GET", url)
    except (errors.OrchestratorError, OSError):
        return {}


COMPLETERS: dict[str, Completer] = {
    "SERVICE": _services,
    "NETWORK": _on_machine("networks"),
    "VOLUME": _on_machine("volumes"),
    "PROFILE": _profiles,
    "PROJECT": _on_machine("projects"),
    "LAB": _labs,
}
"""By what stands for the argument in help."""
