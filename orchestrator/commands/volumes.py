"""List the project's volumes.

corral volumes web           those that the service web has
corral volumes -q            only their names
corral volumes --format json one JSON object a line, for programs; a template like '{{.Name}}' works, too

`corral volume ls` lists those of all projects.
"""

import argparse
from typing import Any

from orchestrator.command_line import invocation

COLUMNS = {"DRIVER": "Driver", "VOLUME NAME": "Name"}
UNKNOWN = "N/A"


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only those that these services have (default: all)")
    add("-q", "--quiet", action="store_true", help="only names")
    add("--format", default="table", metavar="FORMAT", help="table (default), json, or a template")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import templates

    name = called.project_name()
    rows = [row for row in called.ask("GET", "/v1/volumes")["volumes"] if row["Project"] == name]
    if arguments.services:
        had = names_of(called, name, arguments.services)
        rows = [row for row in rows if row["Name"] in had]
    if arguments.quiet:
        called.out.write("".join(f"{row['Name']}\n" for row in rows))
    else:
        called.out.write(templates.shown(arguments.format, [line_of(row) for row in rows], COLUMNS))
    return 0


def names_of(called: invocation.Invocation, project: str, services: list[str]) -> set[str]:
    """Of the volumes that containers of these services have."""
    rows = called.ask("GET", f"/v1/projects/{project}/containers")["containers"]
    return {name for row in rows if row["Service"] in services for name in row["Full"]["Mounts"]}


def line_of(row: dict[str, Any]) -> dict[str, str]:
    """With the keys of docker compose."""
    from orchestrator.command_line import shared_words

    nobody_knows = ("Availability", "Group", "Links", "Size", "Status")
    return {
        **dict.fromkeys(nobody_knows, UNKNOWN),
        "Driver": row["Driver"],
        "Labels": shared_words.labels_text(row),
        "Mountpoint": row["Mountpoint"],
        "Name": row["Name"],
        "Scope": row["Scope"],
    }
