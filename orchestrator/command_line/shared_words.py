"""What `corral network` and `corral volume` have in common: flags, filters, tables, questions."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from orchestrator import errors
from orchestrator.command_line import invocation, output

Row = dict[str, Any]
ID_SHOWN = 12


def add_listing(parser: argparse.ArgumentParser, filters: str) -> None:
    add = parser.add_argument
    add("-q", "--quiet", action="store_true", help="only ids (of volumes: names)")
    add("--filter", action="append", default=[], metavar="KEY=VALUE", help=f"only those: {filters}")
    add("--format", default="table", metavar="FORMAT", help="table (default), json (one object a line), or a template")


def add_inspecting(parser: argparse.ArgumentParser) -> None:
    text = "json: in one line; or a template, a line each, like '{{.Name}} {{.Labels.tier}}'"
    parser.add_argument("-f", "--format", default="", metavar="FORMAT", help=text)


def add_making(parser: argparse.ArgumentParser, driver: str) -> None:
    add = parser.add_argument
    add("-d", "--driver", default=driver, metavar="DRIVER", help=f"{driver}, which is the only one there is")
    add("--label", action="append", default=[], metavar="NAME=VALUE", help="a label; again for more")
    add(
        "-o", "--opt", action="append", default=[], metavar="NAME=VALUE", help="an option of the driver; again for more"
    )


def settings_of(arguments: argparse.Namespace, driver: str) -> Row:
    """What the flags of `add_making` say, canonical. Raises UsageError."""
    if arguments.driver != driver:
        raise errors.UsageError(f"corral: there is no driver {arguments.driver}", hint=f"there is {driver}")
    said = {"labels": pairs_of(arguments.label), "driver_opts": pairs_of(arguments.opt)}
    return {key: value for key, value in said.items() if value}


def pairs_of(texts: Sequence[str]) -> dict[str, str]:
    """A name alone has the value ""."""
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def filtered(rows: list[Row], filters: Sequence[str], known: dict[str, Callable[[Row, str], bool]]) -> list[Row]:
    """Those that meet one value of each key that is named, of labels all, as docker does. Raises UsageError."""
    wanted: dict[str, list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            raise errors.UsageError(f"corral: cannot filter by {text!r}", hint=f"KEY=VALUE, by {', '.join(known)}")
        wanted.setdefault(key, []).append(value)
    return [row for row in rows if all(_is_met(row, known[key], wanted[key], key) for key in wanted)]


def _is_met(row: Row, meets: Callable[[Row, str], bool], values: Sequence[str], key: str) -> bool:
    found = (meets(row, each) for each in values)
    return all(found) if key == "label" else any(found)


def has_label(row: Row, text: str) -> bool:
    """NAME, or NAME=VALUE."""
    name, equals, value = text.partition("=")
    labels = row["Labels"]
    return name in labels and (not equals or labels[name] == value)


def lacks_label(row: Row, text: str) -> bool:
    return not has_label(row, text)


def is_dangling(row: Row, text: str) -> bool:
    return (text.lower() in ("true", "1")) == (not row["UsedBy"])


def labels_text(row: Row) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(row["Labels"].items()))


def inspect(called: invocation.Invocation, rows: list[Row], names: Sequence[str], what: str, form: str) -> int:
    """Print those with these names or ids, as `form` asks; 1 where one is not there."""
    found, missing = [], []
    for text in names:
        mine = [row for row in rows if row["Name"] == text] or [
            row for row in rows if len(text) >= 4 and row.get("Id", "").startswith(text)
        ]
        found += mine[:1]
        missing += [] if mine else [text]
    called.out.write(inspected(form, found))
    for text in missing:
        called.err.write(f"corral: no {what} is called {output.clean(text)}\n")
    return 1 if missing else 0


def inspected(form: str, rows: list[Row]) -> str:
    """Raises UsageError."""
    if form in ("", "json"):
        return (json.dumps(rows, separators=(",", ":")) if form else json.dumps(rows, indent=4)) + "\n"
    from orchestrator.command_line import templates

    return templates.lines(form, rows)


def is_sure(called: invocation.Invocation, forced: bool, warning: str) -> bool:
    """Ask, unless told. Raises UsageError where nobody can be asked."""
    if forced:
        return True
    import sys

    if not sys.stdin.isatty():
        raise errors.UsageError(f"corral: {warning}, and there is nobody to ask", hint="say -f, if that is meant")
    called.err.write(f"{warning}. Go on? [y/N] ")
    called.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def remove(called: invocation.Invocation, section: str, names: Sequence[str], *, forced: bool) -> int:
    """One after the other; `forced`: one that is not there is as good."""
    from orchestrator import protocol

    code = 0
    for name in names:
        try:
            done = called.ask("POST", f"/v1/{section}/remove", protocol.Remove((name,)))
        except errors.NotFound:
            if forced:
                continue
            raise
        except errors.Refused as error:
            output.complain(called.err, error)
            code = 1
            continue
        called.out.write("".join(f"{output.clean(each)}\n" for each in done["removed"]))
    return code


def add_pruning(parser: argparse.ArgumentParser, filters: str) -> None:
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="do not ask")
    add("--filter", action="append", default=[], metavar="KEY=VALUE", help=f"only those: {filters}")


def prune(
    called: invocation.Invocation,
    section: str,
    filters: Sequence[str],
    known: dict[str, Callable[[Row, str], bool]],
    *,
    every: bool = False,
) -> int:
    """Those that the filters leave. Raises UsageError."""
    from orchestrator import protocol

    names: tuple[str, ...] = ()
    if filters:
        names = tuple(row["Name"] for row in filtered(called.ask("GET", f"/v1/{section}")[section], filters, known))
        if not names:
            return 0
    done = called.ask("POST", f"/v1/{section}/prune", protocol.Prune(every, names))["removed"]
    if done:
        called.out.write(f"Deleted {section.capitalize()}:\n")
        called.out.write("".join(f"{output.clean(each)}\n" for each in done))
    return 0
