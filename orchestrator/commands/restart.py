"""Stop containers and start them again. They stay the same containers: a changed compose file wants `corral up`."""

import argparse

from orchestrator.command_line import invocation
from orchestrator.commands import stop


def configure(parser: argparse.ArgumentParser) -> None:
    stop.configure(parser)
    parser.add_argument("--no-deps", action="store_true", help="not what depends on it with `restart: true`")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    request = protocol.Stop(tuple(arguments.services), arguments.timeout, no_deps=arguments.no_deps)
    return called.watch("restart", f"/v1/projects/{called.project_name()}/restart", request)
