"""Show what `corral up` would do, and why. Changes nothing.

    + container:web  create            it would be made
    ~ container:db   update   mem_limit 512m → 1g, live    changed while it runs
    ± container:api  replace  image …  made anew
    - network:old    remove            not declared any more

Exit code: 0 nothing to do, 2 changes, 1 an error.
"""

import argparse

from orchestrator import errors, invocation
from orchestrator.commands import up

CHANGES = 2


def configure(parser: argparse.ArgumentParser) -> None:
    up.configure_project(parser)
    parser.add_argument("--format", default="text", choices=("text", "json"), help="text (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    loaded = called.load(tuple(arguments.services), scale=up.scale_of(arguments.scale))
    invocation.look_up_machine(loaded, make=False)
    try:
        answer = called.ask("POST", f"/v1/projects/{loaded.project_name}/plan", up.request_of(arguments, loaded))
    except errors.Refused as error:
        raise invocation.located(error, loaded) from error
    text = answer.pop("text")
    if arguments.format == "json":
        import json

        called.out.write(json.dumps(answer, indent=2) + "\n")
    else:
        from orchestrator import output

        called.out.write("".join(f"{output.clean(line)}\n" for line in text.splitlines()))
    return CHANGES if answer["changes"] or answer["steps"] else 0
