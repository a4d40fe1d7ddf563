"""Let containers stand still, in the middle of whatever they do: no process of theirs gets any CPU until `corral unpause`.

They keep their memory, ports and connections. `corral up` of the service and `corral restart` let them go on too, `corral stop`
and `corral down` end them as ever. Healthchecks rest meanwhile.
"""

import argparse

from orchestrator.command_line import invocation


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these services (default: all that run)")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    request = protocol.Chosen(tuple(arguments.services))
    return called.watch("pause", f"/v1/projects/{called.project_name()}/pause", request)
