"""Look after the background process that keeps everything as declared. The first command that needs it starts it.

corral daemon status    is it there, and what does it keep?
corral daemon start     start it
corral daemon stop      end it; containers stay and go on, and are found again by the next one
corral daemon run       be it, in the foreground (for service managers)
"""

import argparse

from orchestrator import client
from orchestrator.command_line import invocation

VERBS = ("run", "start", "stop", "status")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", choices=VERBS, metavar="run|start|stop|status", help="what to do")
    parser.add_argument(
        "--format", default="text", choices=("text", "json"), help="of `status`: text (default) or json"
    )


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    verbs = {"run": _run, "start": _start, "stop": _stop, "status": _status}
    return verbs[arguments.verb](arguments, called)


def _run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import settings
    from orchestrator.daemon import daemon

    return daemon.run(called.places, settings.access(called.environ))


def _start(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    answer = called.ask("GET", "/v1/daemon")
    called.note(f"the daemon runs (pid {answer['pid']})")
    return 0


def _stop(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import launch

    try:
        said = launch.end(called.places)
    except client.NoDaemon:
        called.note("no daemon runs")
        return 0
    running = sum(int(each.get("running", 0)) for each in said.get("projects", ()))
    called.note(f"the daemon has ended; {running} containers stay and go on" if running else "the daemon has ended")
    return 0


def _status(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    import json

    try:
        status = client.ask(called.places.socket, "GET", "/v1/daemon")
        kept = client.ask(called.places.socket, "GET", "/v1/projects")
    except client.NoDaemon:
        called.out.write("{}\n" if arguments.format == "json" else "no daemon runs\n")
        return 1
    if arguments.format == "json":
        called.out.write(json.dumps({**status, **kept}) + "\n")
        return 0
    from orchestrator.command_line import output

    called.out.write(f"corral {status['version']}, pid {status['pid']}, root {status['root']}, run {status['run']}\n")
    rows = [[each["name"], str(each["services"]), str(each["running"]), each["error"]] for each in kept["projects"]]
    called.out.write(output.table(("PROJECT", "SERVICES", "RUNNING", "ERROR"), rows) if rows else "no projects\n")
    for each in kept.get("damage", ()):
        called.out.write(f"damaged: {output.clean(each['words'])}\n  {output.clean(each['way_out'])}\n")
    return 0
