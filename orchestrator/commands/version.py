"""Show the version of corral."""

import argparse

from orchestrator import errors, invocation
from orchestrator import version as this


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", default="pretty", metavar="FORMAT", help="pretty (default) or json")
    parser.add_argument("--short", action="store_true", help="only the number")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    kind, short = getattr(arguments, "format", "pretty"), getattr(arguments, "short", False)
    if kind not in ("pretty", "json"):
        raise errors.UsageError(f"corral version: --format {kind} is not supported yet", hint="pretty or json")
    if kind == "json":
        called.out.write(f'{{"version":"{this.VERSION}"}}\n')
    else:
        called.out.write(f"{this.VERSION}\n" if short else f"corral version {this.VERSION}\n")
    return 0
