"""Stop the project and remove everything that was made for it: containers, networks, rules, names, files.

Volumes stay, with their data, unless you say -v.

    corral down web    only the service web, with its one-offs
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation, providers
from orchestrator.commands import up


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services (default: the whole project)")
    add("--rmi", choices=("local", "all"), metavar="local|all", help="accepted: no image is made for a project yet")
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
    url = f"/v1/projects/{name}"
    services, loaded = tuple(arguments.services), providers.look(called)
    try:
        if providers.are_all(services, loaded):
            code = 0
        elif services:
            containers = providers.without_them(services, loaded)
            request = protocol.Rm(containers, stop=True, volumes=arguments.volumes, timeout_s=arguments.timeout)
            code = called.watch("down", f"{url}/rm", request)
        else:
            code = called.watch("down", f"{url}/down", protocol.Down(arguments.volumes, arguments.timeout))
    except errors.NotFound:
        called.note(f"project {name} is not up: nothing to remove")
        code = 0
    if code == 0 and not called.options.dry_run:
        providers.end(called, loaded, "down", services)
    return code
