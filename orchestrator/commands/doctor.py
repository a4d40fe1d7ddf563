"""Say what this machine offers and lacks, what stops corral here, and what to do about it.

    sudo corral doctor

Nothing on the machine is changed: what has to be tried is tried in namespaces that end with the trial. The exit code is 1
where something is missing without which corral cannot work. What a running daemon found damaged is told too.
"""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator import client, errors
from orchestrator.command_line import invocation

if TYPE_CHECKING:
    from orchestrator.command_line import findings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", default="table", metavar="FORMAT", help="table (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    if arguments.format not in ("table", "json"):
        raise errors.UsageError(
            f"corral doctor: --format {arguments.format} is not supported yet", hint="table or json"
        )
    import json

    from orchestrator.command_line import checkup, findings, output

    code = 0
    colours = {findings.Verdict.MISSING: output.RED, findings.Verdict.LIMITED: output.YELLOW}
    on = called.may_colour(called.out)
    for found in (*checkup.examine(called.places.root), *_damage(called)):
        code = 1 if found.verdict is findings.Verdict.MISSING else code
        if arguments.format == "json":
            line = {"Verdict": found.verdict, "Subject": found.subject, "Words": found.words, "WayOut": found.way_out}
            called.out.write(f"{json.dumps(line)}\n")
            continue
        verdict = output.painted(f"{found.verdict:8}", colours.get(found.verdict, ""), on)
        called.out.write(f"{verdict} {found.subject:15}  {output.clean(found.words)}\n")
        if found.way_out:
            called.out.write(f"{'':24}  → {output.clean(found.way_out)}\n")
        called.out.flush()
    return code


def _damage(called: invocation.Invocation) -> "Iterator[findings.Finding]":
    """What the daemon, if one runs, leaves alone because it cannot be trusted."""
    from orchestrator.command_line import findings

    try:
        kept = client.ask(called.places.socket, "GET", "/v1/projects")
    except errors.OrchestratorError:
        return
    for each in kept["projects"]:
        if each["error"]:
            yield findings.Finding(findings.Verdict.LIMITED, "records", each["error"], "put it back as it was")
    for each in kept.get("damage", ()):
        yield findings.Finding(findings.Verdict.LIMITED, "records", each["words"], each["way_out"])
