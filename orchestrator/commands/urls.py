"""List the pages of the project's containers that a browser on this machine can open (`x-corral.pages` of the file).

corral urls                  all of them
corral urls namenode         those of one service
corral urls -q               only the addresses
corral urls --format json    one JSON object a line, for programs

Where `corral hosts on` was said, they have the names that the nodes call each other by, and links between them work.
"""

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator import errors
from orchestrator.command_line import invocation, output

COLUMNS = ("Replica", "Title", "URL")
HEADS = ("SERVICE", "TITLE", "URL")


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only pages of these services")
    add("-q", "--quiet", action="store_true", help="only the addresses")
    add("--format", default="table", metavar="FORMAT", help="table (default) or json")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    if arguments.format not in ("table", "json"):
        raise errors.UsageError(f"corral urls: --format {arguments.format} is not supported yet", hint="table or json")
    answer = called.ask("GET", f"/v1/projects/{called.project_name()}/containers")
    rows = answer["containers"]
    unknown = [name for name in arguments.services if all(row["Service"] != name for row in rows)]
    if unknown:
        raise errors.NotFound(f"service {unknown[0]} has no container", hint="`corral ps -a` lists them")
    pages = list(pages_of(rows, arguments.services))
    called.out.write(text_of(pages, arguments))
    if not pages and not arguments.quiet and arguments.format == "table":
        called.note("no container that runs has pages: x-corral.pages of a service names them")
    return 0


def pages_of(rows: Iterable[dict[str, Any]], services: Iterable[str] = ()) -> Iterator[dict[str, str]]:
    """Of the rows of `ps`, those of the services (none named: all)."""
    wanted = frozenset(services)
    for row in rows:
        for page in row["Pages"] if not wanted or row["Service"] in wanted else ():
            yield {"Service": row["Service"], "Container": row["Name"], **page}


def text_of(pages: list[dict[str, str]], arguments: argparse.Namespace) -> str:
    """What is printed."""
    if arguments.quiet:
        return "".join(f"{page['URL']}\n" for page in pages)
    if arguments.format == "json":
        import json

        return "".join(json.dumps(page, separators=(",", ":"), sort_keys=True) + "\n" for page in pages)
    return output.table(HEADS, [[page[column] for column in COLUMNS] for page in pages])


def tell(called: invocation.Invocation, project: str) -> None:
    """Say where the pages of a project that is up are, a line a title of each service; nothing where there are none, or where
    the user wants quiet."""
    if called.options.progress in ("quiet", "json"):
        return
    pages = list(pages_of(called.ask("GET", f"/v1/projects/{project}/containers")["containers"]))
    first: dict[tuple[str, str], dict[str, str]] = {}
    for page in pages:
        first.setdefault((page["Service"], page["Title"]), page)
    width = max((len(output.clean(title)) for _, title in first), default=0)
    for (_, title), page in first.items():
        called.err.write(f"{output.clean(title):{width}}  {page['URL']}\n")
    if len(pages) > len(first):
        called.err.write(f"and {len(pages) - len(first)} more: corral urls\n")
