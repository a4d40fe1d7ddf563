"""Stop containers and keep them: `corral start` starts them again, with everything that they wrote.

Each gets its stop signal (SIGTERM unless the file says another), and after its grace (10 s unless the file says
otherwise) SIGKILL.
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation, providers
from orchestrator.commands import up


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    add(
        "-t",
        "--timeout",
        type=up.seconds,
        metavar="SECONDS",
        help="how long a container may take to stop (default: its own grace)",
    )


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    name = called.project_name()
    services = tuple(arguments.services)
    loaded = providers.look(called)
    containers = providers.without_them(services, loaded)
    try:
        request = protocol.Stop(containers, arguments.timeout)
        code = called.watch("stop", f"/v1/projects/{name}/stop", request) if containers or not services else 0
    except errors.NotFound:
        called.note(f"project {name} is not up: nothing to stop")
        code = 0
    if code == 0 and not called.options.dry_run:
        providers.end(called, loaded, "stop", services)
    return code
