"""Show which address and port of this machine reach a port of a container.

$ corral port web 80
0.0.0.0:8080
"""

import argparse
from typing import Any

from orchestrator import errors, phrases
from orchestrator.command_line import invocation

RUNNING_STATES = ("running", "paused")
NUMBER_LABEL = "com.docker.compose.container-number"


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--protocol", default="tcp", choices=("tcp", "udp", "sctp"), help="of the port: tcp (default), udp or sctp")
    add("--index", type=int, default=1, metavar="N", help="which container of the service, from 1")
    add("service", metavar="SERVICE", help="the service")
    add("private_port", type=int, metavar="PRIVATE_PORT", help="the port in the container")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    answer = called.ask("GET", f"/v1/projects/{called.project_name()}/containers")
    row = container_of(answer["containers"], arguments.service, arguments.index)
    called.out.write(address_of(row, arguments.private_port, arguments.protocol) + "\n")
    return 0


def container_of(rows: list[dict[str, Any]], service: str, number: int) -> dict[str, Any]:
    """Raises NotFound for one that is not there, or does not run: its ports are nobody's then."""
    for row in rows:
        if row["Service"] == service and f"{NUMBER_LABEL}={number}" in row["Labels"].split(","):
            if row["State"] in RUNNING_STATES:
                return row
            raise errors.NotFound(f"{row['Name']} is not running", hint="`corral ps -a` shows why")
    raise errors.NotFound(f"service {service} has no container {number}", hint="`corral ps -a` lists them")


def address_of(row: dict[str, Any], port: int, protocol: str) -> str:
    """HOST_IP:HOST_PORT; the first one of several. Raises NotFound that names the ports there are."""
    published = [each for each in row["Publishers"] if each["PublishedPort"]]
    for each in published:
        if (each["TargetPort"], each["Protocol"]) == (port, protocol):
            return f"{phrases.bracketed(each['URL'])}:{each['PublishedPort']}"
    there = ", ".join(f"{each['TargetPort']}/{each['Protocol']}" for each in published)
    raise errors.NotFound(
        f"no port of this machine reaches {port}/{protocol} of {row['Name']}", hint=f"published: {there or 'none'}"
    )
