"""Start containers that were stopped, or that ended with an error."""

import argparse

from orchestrator.command_line import invocation
from orchestrator.commands import up


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    add("--wait", action="store_true", help="return when they are healthy")
    add("--wait-timeout", type=up.seconds, metavar="SECONDS", help="give up waiting after so long")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    request = protocol.Start(tuple(arguments.services), arguments.wait, arguments.wait_timeout)
    return called.watch("start", f"/v1/projects/{called.project_name()}/start", request)
