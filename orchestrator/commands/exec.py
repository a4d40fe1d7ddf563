"""Run a command in a running container, beside what runs there.

    corral exec web sh                 a shell, if this is a terminal
    corral exec -T db pg_dump > dump   no terminal: for pipes and scripts

The exit code is the command's own.
"""

import argparse
import sys
from collections.abc import Mapping

from orchestrator import errors
from orchestrator.command_line import invocation


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "corral exec [OPTIONS] SERVICE COMMAND [ARGS…]"
    add = parser.add_argument
    add("-i", "--interactive", action="store_true", default=True, help="pass standard input on (always so)")
    add("-t", "--tty", action="store_true", help="with a terminal (so by default where this is one)")
    add("-T", "--no-tty", "--no-TTY", action="store_true", help="without a terminal")
    add("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable; again for more")
    add("-u", "--user", metavar="USER", help="run as this user (default: the container's)")
    add("-w", "--workdir", metavar="DIR", help="run in this folder (default: the container's)")
    add("-d", "--detach", action="store_true", help="leave it running, and return once it has started")
    add("--privileged", action="store_true", help="with every capability")
    add("--index", type=int, default=1, metavar="N", help="which container of the service, from 1")
    add("service", metavar="SERVICE", help="the service")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import session

    if not arguments.command:
        raise errors.UsageError("corral exec: which command?", hint="corral exec SERVICE COMMAND [ARGS…]")
    request = protocol.Exec(
        service=arguments.service,
        argv=tuple(arguments.command),
        number=arguments.index,
        environment=tuple(with_value(each, called.environ) for each in arguments.env),
        user=arguments.user,
        working_dir=arguments.workdir,
        tty=wants_terminal(arguments) and not arguments.detach,
        detached=arguments.detach,
        privileged=arguments.privileged,
    )
    descriptor = called.receive_descriptor(f"/v1/projects/{called.project_name()}/exec", request)
    if arguments.detach:
        session.leave(descriptor)
        return 0
    return session.pump(descriptor)


def wants_terminal(arguments: argparse.Namespace) -> bool:
    """Raises UsageError for a terminal that is not there."""
    if arguments.no_tty:
        return False
    here = sys.stdin.isatty() and sys.stdout.isatty()
    if arguments.tty and not sys.stdin.isatty():
        raise errors.UsageError("corral exec: -t needs a terminal, and standard input is none", hint="use -T")
    return here or bool(arguments.tty)


def with_value(pair: str, environ: Mapping[str, str]) -> str:
    """NAME alone takes our own value, as in docker."""
    name, equals, _ = pair.partition("=")
    return pair if equals else f"{name}={environ.get(name, '')}"
