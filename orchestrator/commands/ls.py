"""List the projects of this machine: how many of their containers are in which state, and by which files.

corral ls                  those of which something runs
corral ls -a               all
corral ls --filter name=x  those whose name the regular expression x is in
corral ls --format json    a JSON array, for programs
corral ls -q               only the names
"""

import argparse
from typing import Any

from orchestrator import errors
from orchestrator.command_line import invocation

HEADS = ("NAME", "STATUS", "CONFIG FILES")
RUNNING_STATES = ("running", "restarting", "paused")
"""Without -a only these are counted."""


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="also projects of which nothing runs")
    add("-q", "--quiet", action="store_true", help="only names")
    add("--filter", action="append", default=[], metavar="name=REGEX", help="only those with such a name")
    add("--format", default="table", choices=("table", "json"), help="table (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import output

    projects = called.ask("GET", "/v1/projects")["projects"]
    rows = [
        row_of(project, every=arguments.all) for project in projects if is_wanted(project["name"], arguments.filter)
    ]
    rows = [row for row in rows if arguments.all or row["Status"]]
    if arguments.quiet:
        called.out.write("".join(f"{output.clean(row['Name'])}\n" for row in rows))
    elif arguments.format == "json":
        import json

        called.out.write(json.dumps(rows, separators=(",", ":")) + "\n")
    else:
        called.out.write(output.table(HEADS, [[row["Name"], row["Status"], row["ConfigFiles"]] for row in rows]))
    return 0


def is_wanted(name: str, filters: list[str]) -> bool:
    """Raises UsageError."""
    import re

    found = [text.partition("=") for text in filters]
    for (key, equals, _), text in zip(found, filters, strict=True):
        if not equals or key != "name":
            raise errors.UsageError(f"corral ls: cannot filter by {text!r}", hint="--filter name=REGEX")
    try:
        return not found or any(re.search(value, name) for _, _, value in found)
    except re.error as error:
        raise errors.UsageError(f"corral ls: cannot use --filter: {error}") from None


def row_of(project: dict[str, Any], *, every: bool) -> dict[str, str]:
    """With the keys of docker compose. `every`: count also what does not run."""
    counted = {state: count for state, count in project["states"].items() if every or state in RUNNING_STATES}
    status = ", ".join(f"{state}({count})" for state, count in sorted(counted.items()))
    return {
        "Name": project["name"],
        "Status": project["error"] or status,
        "ConfigFiles": ",".join(project["files"]),
    }
