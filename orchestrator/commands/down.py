"""Stop the project and remove everything that was made for it: containers, networks, rules, names, files.

Volumes stay, with their data, unless you say -v.
"""

import argparse

from orchestrator import errors, invocation
from orchestrator.commands import up


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-v", "--volumes", action="store_true", help="remove the project's volumes too, WITH THEIR DATA")
    add(
        "-t",
        "--timeout",
        type=up.seconds,
        metavar="SECONDS",
        help="how long a container may take to stop (default: its own grace)",
    )
    add(
        "--remove-orphans",
        action="store_true",
        help="accepted as in docker compose: `down` always removes the whole project",
    )


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    name = called.project_name()
    request = protocol.Down(volumes=arguments.volumes, timeout_s=arguments.timeout)
    try:
        return called.watch("down", f"/v1/projects/{name}/down", request)
    except errors.NotFound:
        called.note(f"project {name} is not up: nothing to remove")
        return 0
