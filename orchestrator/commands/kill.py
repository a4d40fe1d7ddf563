"""Send a signal to containers: SIGKILL unless told otherwise.

SIGKILL, or a container's own stop signal, ends it for good (until `corral start` or `up`); any other signal is only sent.

    corral kill -s HUP web
"""

import argparse

from orchestrator import invocation


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    add("-s", "--signal", default="SIGKILL", metavar="SIGNAL", help="name or number (default: SIGKILL)")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import output, protocol

    request = protocol.Kill(tuple(arguments.services), arguments.signal)
    answer = called.ask("POST", f"/v1/projects/{called.project_name()}/kill", request)
    for name in answer["signalled"] if called.options.progress != "quiet" else ():
        called.err.write(f"{output.clean(name)}  {arguments.signal}\n")
    return 0
