"""Say what this machine offers and lacks, what stops corral here, and what to do about it.

    sudo corral doctor

Nothing on the machine is changed: what has to be tried is tried in namespaces that end with the trial. The exit code is 1
where something is missing without which corral cannot work.
"""

import argparse

from orchestrator import errors, invocation


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", default="table", metavar="FORMAT", help="table (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    if arguments.format not in ("table", "json"):
        raise errors.UsageError(
            f"corral doctor: --format {arguments.format} is not supported yet", hint="table or json"
        )
    import json

    from orchestrator import checkup, output

    code = 0
    colours = {checkup.Verdict.MISSING: output.RED, checkup.Verdict.LIMITED: output.YELLOW}
    on = output.may_colour(called.out, called.environ)
    for found in checkup.examine(called.places.root):
        code = 1 if found.verdict is checkup.Verdict.MISSING else code
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
