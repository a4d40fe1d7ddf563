"""Let paused containers go on where they were."""

import argparse

from orchestrator.command_line import invocation


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    request = protocol.Chosen(tuple(arguments.services))
    return called.watch("unpause", f"/v1/projects/{called.project_name()}/unpause", request)
