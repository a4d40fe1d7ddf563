"""Say how many containers a service has, whatever its file says, until an `up` of it says otherwise.

corral scale worker=3 web=2

The first container stays as it is; those beyond the number are stopped and removed. What the services need is started, too.
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation, project_flags


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("pairs", nargs="*", metavar="SERVICE=N", help="a service, and how many containers it is to have")
    add("--no-deps", action="store_true", help="not what the services need, only themselves")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    scale = project_flags.scale_of(arguments.pairs, "")
    if not scale:
        raise errors.UsageError("corral scale: which service?", hint="corral scale SERVICE=N")
    loaded = called.load(tuple(scale), scale=scale)
    invocation.look_up_machine(loaded, make=not called.options.dry_run)
    request = protocol.Up(
        document=loaded.canonical,
        files=loaded.files,
        services=tuple(scale),
        scale=scale,
        no_deps=arguments.no_deps,
        orphans=project_flags.orphans_of(called, remove=False),
        inactive=loaded.disabled,
    )
    try:
        return called.watch("scale", f"/v1/projects/{loaded.project_name}/up", request)
    except errors.Refused as error:
        raise invocation.located(error, loaded) from error
