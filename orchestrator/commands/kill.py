"""Send a signal to containers: SIGKILL unless told otherwise.

SIGKILL, or a container's own stop signal, ends it for good (until `corral start` or `up`); any other signal is only sent.

    corral kill -s HUP web
"""

import argparse

from orchestrator.command_line import invocation


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    add("--remove-orphans", action="store_true", help="then remove services that these files do not declare")
    add("-s", "--signal", default="SIGKILL", metavar="SIGNAL", help="name or number (default: SIGKILL)")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import output

    request = protocol.Kill(tuple(arguments.services), arguments.signal)
    url = f"/v1/projects/{called.project_name()}"
    answer = called.ask("POST", f"{url}/kill", request)
    for name in answer["signalled"] if called.options.progress != "quiet" else ():
        called.err.write(f"{output.clean(name)}  {arguments.signal}\n")
    return remove_orphans(called, url) if arguments.remove_orphans else 0


def remove_orphans(called: invocation.Invocation, url: str) -> int:
    """What is not in the files, if they can be read."""
    from orchestrator import encoding, protocol

    declared = called.service_names()
    found = encoding.parse(protocol.Containers, called.ask("GET", f"{url}/logs")).containers
    orphans = {each.service for each in found if not each.run_of and each.service not in declared}
    if not orphans or not declared:
        return 0
    return called.watch("kill", f"{url}/rm", protocol.Rm(tuple(sorted(orphans)), stop=True))
