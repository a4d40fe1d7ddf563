"""The command line: global flags, then a command, then its own flags.

Thin on purpose: only the module of the command that was asked for is imported. A command is a module of
`orchestrator.commands` whose docstring is its help, with `configure(parser)` that adds its flags and
`run(arguments, invocation) -> int`, the exit code.

Exit codes: 0 done; 1 an error, also of usage (as docker compose: 2 means "changes" for `plan`); `exec` passes on the
command's own; 130 for Ctrl-C.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NoReturn, TextIO

from orchestrator import errors, invocation, unsupported

COMMANDS: dict[str, str] = {
    "up": "Make what runs equal to the compose file: create, change, start",
    "plan": "Show what `up` would do and why; change nothing",
    "ps": "List the project's containers",
    "urls": "List the pages that a browser can open",
    "hosts": "Let this machine's own programs find the containers by name",
    "port": "Show which port of this machine reaches a container's",
    "top": "Show the processes of containers",
    "stats": "Show what containers use: CPU, memory, network, disk",
    "events": "Show what happens to containers, as it happens",
    "logs": "Show what the containers wrote",
    "exec": "Run a command in a running container",
    "attach": "Join this terminal to what a container's first process reads and writes",
    "cp": "Copy files and folders to or from containers",
    "stop": "Stop containers, keep them",
    "start": "Start stopped containers",
    "restart": "Stop and start containers",
    "pause": "Let containers stand still",
    "unpause": "Let paused containers go on",
    "update": "Change limits of running containers, until `up`",
    "kill": "Send a signal to containers (SIGKILL unless told)",
    "wait": "Wait until containers have stopped; how they ended",
    "down": "Remove everything of the project but its volumes",
    "network": "List, make and remove networks; join containers to them",
    "volume": "List, make and remove volumes",
    "ls": "List the projects of this machine",
    "config": "Check the compose file and print it in full",
    "init": "Make a folder with a lab: a whole cluster of real software; list the labs",
    "doctor": "Say what this machine offers and lacks, and what to do",
    "completion": "Print what makes a shell complete corral's command lines: bash, zsh, fish",
    "version": "Show the version",
    "daemon": "Look after the background process: run, start, stop, status",
}

DESCRIPTION = """\
Brings up a whole cluster on this machine from a compose file, keeps it exactly as declared, and takes it down
without a trace. In a folder with a compose.yaml:

    corral up -d          start it            corral logs -f        watch what it writes
    corral ps             see it              corral down           take it away
"""


REPEATED_FLAGS = (
    (("-f", "--file"), "FILE", "compose file; again for more, later ones win (default: compose.yaml here or above)"),
    (("--env-file",), "FILE", "variables for ${…} in the file (default: .env)"),
    (("--profile",), "PROFILE", "switch on the services of this profile too"),
)
SINGLE_FLAGS = (
    (("-p", "--project-name"), "PROJECT", "name of the project (default: the file's `name`, or its folder's)"),
    (("--project-directory",), "DIR", "folder that relative paths start from (default: the first file's)"),
    (("--root",), "DIR", "where corral keeps its state (CORRAL_ROOT; default: /var/lib/corral)"),
    (("--run",), "DIR", "where it keeps what lives until a reboot (CORRAL_RUN; default: /run/corral)"),
)


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would exit."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        """As argparse does, which asks for one with every flag that is added, and imports shutil each time to size it."""
        return argparse.RawDescriptionHelpFormatter(self.prog, width=terminal_width())

    def error(self, message: str) -> NoReturn:
        raise errors.UsageError(f"{self.prog}: {message}", hint=f"{self.prog} --help")


def terminal_width() -> int:
    """In columns, for help; what `COLUMNS` says, or the terminal."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said) - 2
    try:
        return (os.get_terminal_size(1).columns or 80) - 2
    except OSError:
        return 78


def run(argv: Sequence[str], out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Run one command line to its end; the exit code. Errors are printed, not raised."""
    out, err = out or sys.stdout, err or sys.stderr
    try:
        return _run(argv, os.environ, out, err)
    except errors.OrchestratorError as error:
        return _complain(err, error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's own flush at exit does not complain again
        return 0
    except SystemExit as leaving:  # argparse leaves so after --help
        return int(leaving.code or 0)


def _run(argv: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    options = parse_globals(argv)
    if options.version:
        options.command, options.rest = "version", []
    if options.command in (None, "help"):
        return _help([each for each in options.rest if each in COMMANDS][:1], out)
    module = module_of(options.command)
    arguments = parse_command(options.command, module, options.rest)
    called = invocation.Invocation(options=options, environ=environ, out=out, err=err)
    code: int = module.run(arguments, called)
    return code


def _help(about: Sequence[str], out: TextIO) -> int:
    parser = command_parser(about[0], module_of(about[0])) if about else global_parser()
    out.write(parser.format_help())
    return 0


def _complain(err: TextIO, error: errors.OrchestratorError) -> int:
    from orchestrator import output

    output.complain(err, error)
    return 1


# ------------------------------------------------------------------------------------------------------------ parsing


def global_parser() -> Parser:
    """The flags that go before the command."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = Parser(
        prog="corral",
        usage="corral [OPTIONS] COMMAND [ARGS…]",
        description=DESCRIPTION,
        epilog=f"commands:\n{listed}\n\n`corral COMMAND --help` says more about each.",
        allow_abbrev=False,
    )
    add_global_flags(parser)
    parser.add_argument("--version", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def add_global_flags(parser: argparse.ArgumentParser) -> None:
    for flags, metavar, text in REPEATED_FLAGS:
        parser.add_argument(*flags, action="append", default=[], metavar=metavar, help=text)
    for flags, metavar, text in SINGLE_FLAGS:
        parser.add_argument(*flags, default="", metavar=metavar, help=text)
    modes = ("auto", "tty", "plain", "json", "quiet")
    parser.add_argument("--progress", default="auto", choices=modes, help="how to show what happens (default: auto)")


def parse_globals(argv: Sequence[str]) -> argparse.Namespace:
    """The global flags, `command` and its `rest`. Raises UsageError."""
    options, extra = global_parser().parse_known_args(argv)
    if extra:
        raise _refusal("corral", extra[0], unsupported.GLOBAL_FLAGS, known=_flags_of(global_parser()))
    return options


def module_of(command: str) -> ModuleType:
    """The module of a command. Raises UsageError for one that does not exist, or not yet."""
    if command in unsupported.COMMANDS:
        raise errors.UsageError(f"corral {command}: not supported yet")
    if command not in COMMANDS:
        raise errors.UsageError(f"corral has no command {command!r}", hint=_meant(command, COMMANDS) or "corral --help")
    return importlib.import_module(f"orchestrator.commands.{command}")


def command_parser(command: str, module: ModuleType) -> Parser:
    """The parser of one command; its help is the module's docstring."""
    parser = Parser(
        prog=f"corral {command}",
        description=module.__doc__,
        allow_abbrev=False,
    )
    module.configure(parser)
    return parser


def parse_command(command: str, module: ModuleType, rest: Sequence[str]) -> argparse.Namespace:
    """The command's own flags. Raises UsageError that tells "not supported yet" from unknown."""
    parser = command_parser(command, module)
    try:
        has_order = command in ("exec", "network", "volume")  # what follows belongs to what was named
        parse = parser.parse_known_args if has_order else parser.parse_known_intermixed_args
        arguments, extra = parse(list(rest))
    except errors.UsageError:
        for word in rest:  # a flag we refuse explains more than the arguments it confused
            if word.partition("=")[0] in unsupported.FLAGS[command]:
                raise _refusal(parser.prog, word, unsupported.FLAGS[command], known=()) from None
        raise
    if extra:
        flag = next((each for each in extra if each.startswith("-")), extra[0])
        raise _refusal(parser.prog, flag, unsupported.FLAGS[command], known=_flags_of(parser))
    return arguments


def _refusal(prog: str, word: str, not_yet: frozenset[str], known: Sequence[str]) -> errors.UsageError:
    flag = word.partition("=")[0]
    if flag in not_yet or (not flag.startswith("--") and flag[:2] in not_yet):
        return errors.UsageError(f"{prog}: {flag} is not supported yet")
    if not flag.startswith("-"):
        return errors.UsageError(f"{prog}: unexpected argument {word!r}", hint=f"{prog} --help")
    if prog != "corral" and flag in _flags_of(global_parser()):
        return errors.UsageError(
            f"{prog}: {flag} goes before the command", hint=f"corral {flag} … {prog.split()[-1]} …"
        )
    return errors.UsageError(f"{prog}: unknown flag {flag}", hint=_meant(flag, known) or f"{prog} --help")


def _flags_of(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]


def _meant(word: str, known: Sequence[str] | Mapping[str, str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""
