"""List the images that the project's containers are made of.

corral images -q             only their ids
corral images --format json  a JSON array, for programs

An image is `host`, this machine's own programs, or a root folder (`rootfs:DIR`): it has no tag, and its size is nobody's.
"""

import argparse
import json
from typing import Any

from orchestrator.command_line import invocation

HEADS = ("CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED")
ID_LENGTH = 12
UNKNOWN = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only of these services (default: all)")
    add("-q", "--quiet", action="store_true", help="only ids")
    add("--format", default="table", choices=("table", "json"), help="table (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import output

    rows = called.ask("GET", f"/v1/projects/{called.project_name()}/containers")["containers"]
    rows = [row for row in rows if not arguments.services or row["Service"] in arguments.services]
    if arguments.quiet:
        called.out.write("".join(f"{uid}\n" for uid in dict.fromkeys(row["Full"]["ImageID"] for row in rows)))
    elif arguments.format == "json":
        called.out.write(json.dumps([line_of(row) for row in rows], separators=(",", ":")) + "\n")
    else:
        called.out.write(output.table(HEADS, [cells_of(row) for row in rows]))
    return 0


def line_of(row: dict[str, Any]) -> dict[str, Any]:
    """With the keys of docker compose."""
    return {
        "ID": row["Full"]["ImageID"],
        "ContainerName": row["Name"],
        "Repository": row["Image"],
        "Tag": "",
        "Platform": platform(),
        "Size": 0,
    }


def cells_of(row: dict[str, Any]) -> list[str]:
    uid = row["Full"]["ImageID"][:ID_LENGTH]
    return [row["Name"], row["Image"], UNKNOWN, platform(), uid, UNKNOWN, UNKNOWN]


def platform() -> str:
    import os

    machine = os.uname().machine
    return f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"
