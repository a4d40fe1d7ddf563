"""Check the compose file and print it in full: all files merged, variables filled in, short forms spelled out.

corral config              as YAML
corral config -q           only check; exit code 1 and the errors if something is wrong
corral config --services   only the names of the services
"""

import argparse
from typing import Any

from orchestrator import errors, invocation


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services")
    add("--format", default="yaml", choices=("yaml", "json"), help="yaml (default) or json")
    add("-q", "--quiet", action="store_true", help="only check, print nothing")
    add("--services", action="store_true", dest="only_services", help="only the names of the services")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    loaded = called.load(tuple(arguments.services), any_image=True)
    validate(loaded)
    document = loaded.canonical
    unknown = [name for name in arguments.services if name not in document["services"]]
    if unknown:
        raise errors.UsageError(f"no such service: {unknown[0]}")
    if arguments.services:
        document = {**document, "services": {name: document["services"][name] for name in arguments.services}}
    if not arguments.quiet:
        called.out.write(text_of(document, arguments))
    return 0


def validate(loaded: Any) -> None:
    """What the daemon would say of it. Raises InvalidFiles."""
    from specs import errors as spec_errors
    from specs import validate as validating

    try:
        validating.project(loaded.canonical)
    except spec_errors.SpecErrors as error:
        raise invocation.invalid_files(error.located(loaded)) from error


def text_of(document: dict[str, Any], arguments: argparse.Namespace) -> str:
    """What is printed."""
    if arguments.only_services:
        return "".join(f"{name}\n" for name in document["services"])
    from specs import render

    if arguments.format == "json":
        import json

        return json.dumps(render.document(document), indent=2, ensure_ascii=False) + "\n"
    return render.text(document)
