"""Show the version of corral; to who calls it `docker-compose`, the version of that which it is like, too."""

import argparse

from orchestrator import errors
from orchestrator import version as this
from orchestrator.command_line import invocation

LIKE = "2.40.3"
"""The docker compose that corral is held against."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", default="pretty", metavar="FORMAT", help="pretty (default) or json")
    parser.add_argument("--short", action="store_true", help="only the number")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    kind, short = getattr(arguments, "format", "pretty"), getattr(arguments, "short", False)
    if kind not in ("pretty", "json"):
        raise errors.UsageError(f"corral version: --format {kind} is not supported yet", hint="pretty or json")
    like = called.options.as_compose
    number = LIKE if like else this.VERSION
    if kind == "json":
        called.out.write(
            f'{{"version":"v{LIKE}","corral":"{this.VERSION}"}}\n' if like else f'{{"version":"{number}"}}\n'
        )
    elif short:
        called.out.write(f"{number}\n")
    else:
        name = f"Docker Compose version v{LIKE} (corral {this.VERSION})" if like else f"corral version {number}"
        called.out.write(f"{name}\n")
    return 0
