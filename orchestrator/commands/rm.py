"""Remove containers that have stopped, and one-offs that have ended. `corral up` or `create` makes a service's again.

    corral rm             of all services, after asking
    corral rm -f web      of the service web, without asking
    corral rm -s -v web   stop it first; remove its anonymous volumes, too, WITH THEIR DATA

A service goes as a whole: where one of its containers still runs, all of them stay, unless you say -s.
"""

import argparse
import sys

from orchestrator import encoding, errors, protocol
from orchestrator.command_line import invocation


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services, or one-offs by their names (default: all)")
    # docker compose takes it, and it means nothing there
    add("-a", "--all", action="store_true", help=argparse.SUPPRESS)
    add("-f", "--force", action="store_true", help="do not ask")
    add("-s", "--stop", action="store_true", help="stop those that run, and remove them, too")
    add("-v", "--volumes", action="store_true", help="remove their anonymous volumes too, WITH THEIR DATA")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import output

    url = f"/v1/projects/{called.project_name()}"
    request = protocol.Rm(tuple(arguments.services), arguments.stop, arguments.volumes)
    names = names_of(called, url, request)
    if not names:
        called.note("No stopped containers")
        return 0
    said = f"Going to remove {', '.join(map(output.clean, names))}"
    if not (arguments.force or called.options.dry_run) and not has_agreed(called, said):
        return 0
    return called.watch("rm", f"{url}/rm", request)


def names_of(called: invocation.Invocation, url: str, request: protocol.Rm) -> list[str]:
    """Of the containers that would go. A project that is not up has none."""
    try:
        found = encoding.parse(protocol.Containers, called.ask("GET", f"{url}/logs"))
    except errors.NotFound:
        return []
    gone = request.gone_of(found.containers)
    return [each.name for each in found.containers if each.service in gone]


def has_agreed(called: invocation.Invocation, said: str) -> bool:
    called.err.write(f"{said}\nAre you sure? [yN] ")
    called.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
