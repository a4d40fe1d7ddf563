"""Show what `corral up` would do, and why. Changes nothing.

    + container:web  create            it would be made
    ~ container:db   update   mem_limit 512m → 1g, live    changed while it runs
    ± container:api  replace  image …  made anew
    - network:old    remove            not declared any more
    = web: 3 of it (corral scale)      what commands said beside the file, and counts after this, too

Exit code: 0 nothing to do, 2 changes, 1 an error.
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation, project_flags

CHANGES = 2


def configure(parser: argparse.ArgumentParser) -> None:
    project_flags.configure(parser)
    project_flags.configure_more(parser)
    parser.add_argument("--format", default="text", choices=("text", "json"), help="text (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    project_flags.refuse_pairs(arguments, "corral plan", project_flags.CONTRADICTIONS)
    loaded = called.load(tuple(arguments.services), scale=project_flags.scale_of(arguments.scale))
    request = project_flags.request_of(arguments, called, loaded)
    invocation.look_up_machine(loaded, make=False)
    try:
        answer = called.ask("POST", f"/v1/projects/{loaded.project_name}/plan", request)
    except errors.Refused as error:
        raise invocation.located(error, loaded) from error
    text = answer.pop("text")
    if arguments.format == "json":
        import json

        called.out.write(json.dumps(answer, indent=2) + "\n")
    else:
        from orchestrator.command_line import output

        called.out.write("".join(f"{output.clean(line)}\n" for line in text.splitlines()))
    return CHANGES if answer["changes"] or answer["steps"] else 0
