"""List the containers of the project: how they are, what they run, and which ports of this machine reach them.

corral ps                  those that run
corral ps -a               also those that have ended
corral ps --format json    one JSON object a line, for programs (the keys of docker compose, and Pid, Addresses,
                           LastProbe and Pages)
corral ps -q web           only the ids of the service web

`corral urls` lists the pages that they serve to browsers.
"""

import argparse
from typing import Any

from orchestrator import errors, invocation

COLUMNS = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")
HEADS = ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS")
SHOWN_STATES = ("running", "paused", "restarting")
"""Without -a."""


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only containers of these services")
    add("-a", "--all", action="store_true", help="also containers that do not run")
    add("-q", "--quiet", action="store_true", help="only ids")
    add("--services", action="store_true", dest="only_services", help="only the names of the services")
    add("--format", default="table", metavar="FORMAT", help="table (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    if arguments.format not in ("table", "json"):
        raise errors.UsageError(f"corral ps: --format {arguments.format} is not supported yet", hint="table or json")
    answer = called.ask("GET", f"/v1/projects/{called.project_name()}/containers")
    rows = [row for row in answer["containers"] if arguments.all or row["State"] in SHOWN_STATES]
    if arguments.services:
        rows = [row for row in rows if row["Service"] in arguments.services]
    called.out.write(text_of(rows, arguments))
    if arguments.format == "table" and not (arguments.quiet or arguments.only_services):
        tell_unhealthy(rows, called)
    if damage := answer.get("damage"):
        name = called.project_name()
        raise errors.DaemonError(f"project {name} is left as it is: something of it is damaged", hint="\n".join(damage))
    return 0


def tell_unhealthy(rows: list[dict[str, Any]], called: invocation.Invocation) -> None:
    """Why what is unhealthy is: beside the table, which is for programs, too."""
    for row in rows:
        if row["Health"] == "unhealthy":
            from orchestrator import listing, output

            words = output.clean(f"{row['Name']} is unhealthy: {listing.probe_words(row['LastProbe'])}")
            called.err.write(f"corral: {words}\n")


def text_of(rows: list[dict[str, object]], arguments: argparse.Namespace) -> str:
    """What is printed."""
    if arguments.quiet:
        return "".join(f"{row['ID']}\n" for row in rows)
    if arguments.only_services:
        return "".join(f"{name}\n" for name in dict.fromkeys(str(row["Service"]) for row in rows))
    if arguments.format == "json":
        import json

        return "".join(json.dumps(row, separators=(",", ":"), sort_keys=True) + "\n" for row in rows)
    from orchestrator import output

    return output.table(HEADS, [[str(row[column]) for column in COLUMNS] for row in rows])
