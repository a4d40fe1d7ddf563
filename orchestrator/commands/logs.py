"""Show what the containers wrote to standard output and standard error.

corral logs -f             go on as they write; Ctrl-C ends it
corral logs --tail 20 web  the last 20 lines of the service web
corral logs --since 10m    of the last ten minutes
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    add("-f", "--follow", action="store_true", help="go on as they write")
    add("-n", "--tail", default="all", metavar="LINES", help="only so many of the last lines of each container")
    add("--since", default="", metavar="TIME", help="only what came after: 2025-03-01T12:00:00Z, or 10m (ago)")
    add("--until", default="", metavar="TIME", help="only what came before")
    add("--index", type=int, metavar="N", help="only of the container of each service with this number, from 1")
    add("-t", "--timestamps", action="store_true", help="begin each line with its time")
    add("--no-log-prefix", action="store_true", help="do not begin each line with the container's name")
    add("--no-color", action="store_true", help="no colours")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import following

    name = called.project_name()
    options = following.Options(
        services=tuple(arguments.services),
        tail=following.tail_of(arguments.tail),
        since=following.since_of(arguments.since),
        until=following.since_of(arguments.until, flag="--until"),
        number=arguments.index,
        timestamps=arguments.timestamps,
        prefix=not arguments.no_log_prefix,
        colour=not arguments.no_color,
    )
    url = f"/v1/projects/{name}/logs"
    try:
        answer = called.ask("GET", url)
        following.refuse_unknown(answer, options.services)
        if not arguments.follow:
            return following.show(called, answer, options)
        return following.follow(called, called.follow(f"{url}/follow", {}), options)
    except errors.NotFound:
        called.note(f"project {name} is not up: nothing to show")
        return 0
