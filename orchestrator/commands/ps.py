"""List the containers of the project: how they are, what they run, which ports of this machine reach them, where their pages are.

corral ps                  those that run
corral ps -a               also those that have ended, and one-offs (`corral run`)
corral ps --status exited  only those in this state: created, running, paused, restarting, exited
corral ps --format json    one JSON object a line, for programs (the keys of docker compose, and Pid, Addresses,
                           LastProbe and Pages); a template like '{{.Name}} {{.Status}}' works, too
corral ps -q web           only the ids of the service web

The column PAGES is there where a container has some (`x-corral.pages`); `corral urls` lists them with their titles.
"""

import argparse
from typing import Any

from orchestrator import errors
from orchestrator.command_line import invocation

COLUMNS = {
    "NAME": "Name",
    "IMAGE": "Image",
    "COMMAND": "Command",
    "SERVICE": "Service",
    "CREATED": "RunningFor",
    "STATUS": "Status",
    "PORTS": "Ports",
}
PAGES = {"PAGES": "Pages"}
"""One more, where there are some: who knows docker compose's table finds that one everywhere else."""
SHOWN_STATES = ("running", "paused", "restarting")
"""Without -a."""
ONE_OFF = "com.docker.compose.oneoff=True"

Row = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only containers of these services")
    add("-a", "--all", action="store_true", help="also containers that do not run, and one-offs")
    add("-q", "--quiet", action="store_true", help="only ids, in full")
    add("--services", action="store_true", dest="only_services", help="only the names of the services")
    add("--status", action="append", default=[], metavar="STATUS", help="only those in this state; again for more")
    add("--filter", default="", metavar="status=STATUS", help="the same")
    add(
        "--orphans",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also services that this file does not declare (default)",
    )
    add("--no-trunc", action="store_true", help="do not shorten ids and commands")
    add("--format", default="table", metavar="FORMAT", help="table (default), json, or a template")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import templates

    states = states_of(arguments)
    answer = called.ask("GET", f"/v1/projects/{called.project_name()}/containers")
    rows = chosen(answer["containers"], arguments, states)
    refuse_unknown(arguments, called, rows)
    if not arguments.orphans:
        declared = called.service_names()
        rows = [row for row in rows if row["Service"] in declared]
    if arguments.quiet:
        called.out.write("".join(f"{row['Full']['ID']}\n" for row in rows))
    elif arguments.only_services:
        called.out.write("".join(f"{name}\n" for name in dict.fromkeys(str(row["Service"]) for row in rows)))
    else:
        shown = [with_full(row) if arguments.no_trunc else without_full(row) for row in rows]
        has_pages = arguments.format == "table" and any(row["Pages"] for row in shown)
        columns, shown = (COLUMNS | PAGES, [with_addresses(row) for row in shown]) if has_pages else (COLUMNS, shown)
        called.out.write(templates.shown(arguments.format, shown, columns))
    if arguments.format == "table" and not (arguments.quiet or arguments.only_services):
        tell_unhealthy(rows, called)
    if damage := answer.get("damage"):
        name = called.project_name()
        raise errors.DaemonError(f"project {name} is left as it is: something of it is damaged", hint="\n".join(damage))
    return 0


def states_of(arguments: argparse.Namespace) -> list[str]:
    """Those that --status and --filter name; none: any. Raises UsageError."""
    if not arguments.filter:
        return list(arguments.status)
    key, equals, value = arguments.filter.partition("=")
    if not equals or key != "status":
        raise errors.UsageError(f"corral ps: cannot filter by {arguments.filter!r}", hint="--filter status=running")
    return [*arguments.status, value]


def chosen(rows: list[Row], arguments: argparse.Namespace, states: list[str]) -> list[Row]:
    """As docker compose does: who asks for states means all containers."""
    if states:
        rows = [row for row in rows if row["State"] in states]
    elif not arguments.all:
        rows = [row for row in rows if row["State"] in SHOWN_STATES and ONE_OFF not in row["Labels"].split(",")]
    return [row for row in rows if not arguments.services or row["Service"] in arguments.services]


def refuse_unknown(arguments: argparse.Namespace, called: invocation.Invocation, rows: list[Row]) -> None:
    """Raises UsageError for a service that has no container here, and that the files do not know."""
    there = {row["Service"] for row in rows}
    missing = [name for name in arguments.services if name not in there]
    known = called.service_names() if missing else frozenset()
    for name in missing:
        if name not in known:
            raise errors.UsageError(f"no such service: {name}", hint=f"there are {', '.join(sorted(known))}")


def without_full(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "Full"}


def with_full(row: Row) -> Row:
    return {**without_full(row), "ID": row["Full"]["ID"], "Command": row["Full"]["Command"]}


def with_addresses(row: Row) -> Row:
    """Its pages as text."""
    return {**row, "Pages": " ".join(page["URL"] for page in row["Pages"])}


def tell_unhealthy(rows: list[Row], called: invocation.Invocation) -> None:
    """Why what is unhealthy is: beside the table, which is for programs, too."""
    for row in rows:
        if row["Health"] == "unhealthy":
            from orchestrator import phrases
            from orchestrator.command_line import output

            words = output.clean(f"{row['Name']} is unhealthy: {phrases.probe_words(row['LastProbe'])}")
            called.err.write(f"corral: {words}\n")
