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

from orchestrator import errors
from orchestrator.command_line import invocation, unsupported

argparse._ = str  # type: ignore[attr-defined]  # its words stay English, as ours are: to look for others takes a command 2 ms

COMMANDS: dict[str, str] = {
    "up": "Make what runs equal to the compose file: create, change, start",
    "create": "Make containers without starting them",
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
    "run": "Run a command in a new container of a service",
    "attach": "Join this terminal to what a container's first process reads and writes",
    "images": "List the images that containers are made of",
    "volumes": "List the project's volumes",
    "cp": "Copy files and folders to or from containers",
    "stop": "Stop containers, keep them",
    "start": "Start stopped containers",
    "scale": "Say how many containers a service has",
    "rm": "Remove stopped containers",
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


TRUE = ("1", "t", "true", "y", "yes")
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
WORD_FLAGS = (
    (
        "--progress",
        ("auto", "tty", "plain", "json", "quiet"),
        "how to show what happens (COMPOSE_PROGRESS; default: auto)",
    ),
    ("--ansi", ("auto", "always", "never"), "whether to colour and draw (COMPOSE_ANSI; default: auto)"),
)
ALIAS = "docker-compose"
"""Whoever calls us so is told of the version of docker compose that we are like; all else is the same."""
OTHER_NAMES = {"convert": "config"}
UNFORESEEN = (
    *("attach", "cp", "daemon", "exec", "hosts", "init", "kill", "network", "restart", "update", "volume", "wait"),
)
"""What they do is no change of what is wanted, or more than one; what would come of it cannot be shown."""
ORDERED = ("exec", "run", "network", "volume")
"""What follows the first word belongs to what was named."""


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


def run(argv: Sequence[str], out: TextIO | None = None, err: TextIO | None = None, *, called_as: str = "corral") -> int:
    """Run one command line to its end; the exit code. Errors are printed, not raised. `called_as`: by which name the user
    knows us; see `ALIAS`."""
    out, err = out or sys.stdout, err or sys.stderr
    try:
        return _run(argv, os.environ, out, err, called_as)
    except errors.OrchestratorError as error:
        return _complain(err, error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's own flush at exit does not complain again
        return 0
    except SystemExit as leaving:  # argparse leaves so after --help
        return int(leaving.code or 0)


def _run(argv: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO, called_as: str) -> int:
    options = parse_globals(argv)
    options.as_compose = called_as == ALIAS
    options.command = OTHER_NAMES.get(options.command, options.command)
    if options.version:
        options.command, options.rest = "version", []
    if options.command in (None, "help"):
        return _help([each for each in options.rest if each in COMMANDS][:1], out)
    settle_words(options, environ)
    module = module_of(options.command)
    arguments = parse_command(options.command, module, options.rest)
    options.dry_run = vars(arguments).pop("dry_run") or options.dry_run
    if options.dry_run and options.command in UNFORESEEN:
        hint = "it is for up, create, scale, run, rm, down, stop, start, pause and unpause"
        raise errors.UsageError(f"corral {options.command}: --dry-run cannot say what would come of it", hint=hint)
    says = out if environ.get("COMPOSE_STATUS_STDOUT", "").lower() in TRUE else err
    called = invocation.Invocation(options=options, environ=environ, out=out, err=says)
    if options.compatibility or environ.get("COMPOSE_COMPATIBILITY", "").lower() in TRUE:
        called.note("--compatibility: containers are called PROJECT-SERVICE-N all the same")
    code: int = module.run(arguments, called)
    return code


def settle_words(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """What the flags leave open the variables say. Raises UsageError."""
    for flag, choices, _ in WORD_FLAGS:
        name = flag.removeprefix("--")
        variable = f"COMPOSE_{name.upper()}"
        word = getattr(options, name) or environ.get(variable, "") or choices[0]
        if word not in choices:
            raise errors.UsageError(f"corral: {variable}={word} is none of {', '.join(choices)}")
        setattr(options, name, word)


def _help(about: Sequence[str], out: TextIO) -> int:
    parser = command_parser(about[0], module_of(about[0])) if about else global_parser()
    out.write(parser.format_help())
    return 0


def _complain(err: TextIO, error: errors.OrchestratorError) -> int:
    from orchestrator.command_line import output

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
    for flags in (("-v", "--version"), ("--verbose",)):
        parser.add_argument(*flags, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-ansi", dest="ansi", action="store_const", const="never", help=argparse.SUPPRESS)
    parser.add_argument("--workdir", dest="project_directory", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def add_global_flags(parser: argparse.ArgumentParser) -> None:
    for flags, metavar, text in REPEATED_FLAGS:
        parser.add_argument(*flags, action="append", default=[], metavar=metavar, help=text)
    for flags, metavar, text in SINGLE_FLAGS:
        parser.add_argument(*flags, default="", metavar=metavar, help=text)
    for flag, choices, text in WORD_FLAGS:
        parser.add_argument(flag, default="", choices=choices, help=text)
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, as `plan` does; do nothing")
    parser.add_argument("--all-resources", action="store_true", help="with the networks and volumes that nothing uses")
    parser.add_argument("--parallel", type=int, metavar="N", help="accepted: the engine paces itself")
    parser.add_argument("--compatibility", action="store_true", help="accepted, with a note: names keep their hyphens")


def parse_globals(argv: Sequence[str]) -> argparse.Namespace:
    """The global flags, `command` and its `rest`. Raises UsageError."""
    options, extra = global_parser().parse_known_args(argv)
    if extra:
        raise _refusal("corral", extra[0], frozenset(), known=_flags_of(global_parser()))
    return options


def module_of(command: str) -> ModuleType:
    """The module of a command. Raises UsageError for one that does not exist, or not yet."""
    if command in unsupported.COMMANDS:
        hint = unsupported.IMAGES_HINT if command in unsupported.WITH_IMAGES else ""
        raise errors.UsageError(f"corral {command}: not supported yet", hint=hint)
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
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, as `plan` does; do nothing")
    return parser


def parse_command(command: str, module: ModuleType, rest: Sequence[str]) -> argparse.Namespace:
    """The command's own flags. Raises UsageError that tells "not supported yet" from unknown."""
    parser = command_parser(command, module)
    has_order = command in ORDERED
    rest = switches(parser, rest, until_word=has_order)
    try:
        is_mixed = not has_order and any(not word.startswith("-") for word in rest)
        # the former writes its help, which takes a while
        parse = parser.parse_known_intermixed_args if is_mixed else parser.parse_known_args
        arguments, extra = parse(list(rest))
    except errors.UsageError:
        for word in rest:  # a flag we refuse explains more than the arguments it confused
            if word.partition("=")[0] in unsupported.flags_of(command):
                raise _refusal(parser.prog, word, unsupported.flags_of(command), known=()) from None
        raise
    if extra:
        flag = next((each for each in extra if each.startswith("-")), extra[0])
        raise _refusal(parser.prog, flag, unsupported.flags_of(command), known=_flags_of(parser))
    return arguments


def switches(parser: argparse.ArgumentParser, words: Sequence[str], *, until_word: bool) -> list[str]:
    """As Go's flags have it, `--detach=true` is `--detach`, and `--detach=false` is nothing. `until_word`: what follows the first
    word that is no flag is somebody else's, or, where that word is a command of its own, that one's."""
    on_off = {flag for action in parser._actions if action.nargs == 0 for flag in action.option_strings}
    found: list[str] = []
    for at, word in enumerate(words):
        if word == "--" or (until_word and not word.startswith("-")):
            below = _below(parser).get(word)
            rest = words[at + 1 :]
            return [*found, word, *(switches(below, rest, until_word=False) if below else rest)]
        flag, equals, value = word.partition("=")
        if not (equals and flag in on_off and value.lower() in ("true", "false", "1", "0")):
            found.append(word)
        elif value.lower() in TRUE:
            found.append(flag)
        elif (opposite := f"--no-{flag.removeprefix('--')}") in on_off:
            found.append(opposite)
    return found


def _below(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The commands below this one, also by their other names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def commands_below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The same, by one name each."""
    found: dict[argparse.ArgumentParser, str] = {}
    for name, each in _below(parser).items():
        found.setdefault(each, name)
    return {name: each for each, name in found.items()}


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
