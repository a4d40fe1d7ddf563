"""Make the containers of the project, and what they need, and start none: `corral start` does.

    corral create              of all services
    corral create --scale w=3  three of the service w

What runs already goes on running; one of its containers that differs from the file is made anew, and runs again.
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation, project_flags, providers


def configure(parser: argparse.ArgumentParser) -> None:
    project_flags.configure(parser)


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    project_flags.refuse_pairs(arguments, "corral create", project_flags.CONTRADICTIONS)
    loaded = called.load(tuple(arguments.services), scale=project_flags.scale_of(arguments.scale))
    invocation.look_up_machine(loaded, make=not called.options.dry_run)
    if not called.options.dry_run:
        loaded = providers.up(called, loaded, arguments.services)
    if providers.are_all(arguments.services, loaded):
        return 0
    request = project_flags.request_of(arguments, called, loaded, start=False)
    try:
        return called.watch("create", f"/v1/projects/{loaded.project_name}/up", request)
    except errors.Refused as error:
        raise invocation.located(error, loaded) from error
