"""`corral config --explain PATH`: what it prints."""

import json
import os
from collections.abc import Iterator
from typing import Any

from orchestrator.command_line import invocation
from specs import errors, history
from specs.normal import document as normal
from specs.normal.manner import Manner
from specs.telling import explain

SHORT = 1
"""More values than that get a line each."""


def run(text: str, manner: Manner, called: invocation.Invocation, *, as_json: bool) -> int:
    """Raises InvalidFiles."""
    past = history.History()
    prepared = called.prepare(history=past)
    found = called.of_files(lambda: normal.of(prepared, manner))
    sources = explain.Sources(
        found.document,
        prepared.document,
        past,
        called.environ,
        prepared.variables,
        prepared.around.directory,
        os.getcwd(),
        called.options.project_name,
    )
    told = called.of_files(lambda: explain.explain(text, sources))
    if as_json:
        called.out.write(json.dumps([_plain(each) for each in told], indent=2, ensure_ascii=False) + "\n")
    elif len(told) > SHORT:
        called.out.writelines(f"{line}\n" for line in _table(told))
    else:
        called.out.writelines(f"{line}\n" for each in told for line in _lines(each))
    return 0


def _table(told: list[explain.Explained]) -> Iterator[str]:
    rows = [(f"{errors.dotted(each.path)}: {_shown(each.value)}", _source(each)) for each in told]
    width = min(max(len(row[0]) for row in rows), 60)
    for left, right in rows:
        yield f"{left:<{width}}  {right}"


def _source(each: explain.Explained) -> str:
    if not each.origins:
        return each.implied
    origin = each.origins[-1]
    count = len(each.origins) - 1
    replaced = f", in place of {count} before" if count else ""
    return f"{_place(origin)}{f' ({origin.step})' if origin.step else ''}{replaced}"


def _lines(each: explain.Explained) -> Iterator[str]:
    yield f"{errors.dotted(each.path)}: {_shown(each.value)}"
    if not each.origins:
        yield f"    {each.implied}"
        return
    *before, origin = each.origins
    yield from _origin_lines(origin)
    for earlier in reversed(before):
        yield f"in place of {_shown(earlier.value)}"
        yield from _origin_lines(earlier)


def _origin_lines(origin: explain.Origin) -> Iterator[str]:
    yield f"    {_place(origin)}{f' ({origin.step})' if origin.step else ''}"
    if origin.written:
        yield f"        written {origin.written}"
    for used in origin.variables:
        yield f"        {used.name}: {_shown(used.value)}, {used.source}"


def _place(origin: explain.Origin) -> str:
    return ":".join(map(str, origin.place))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _plain(each: explain.Explained) -> dict[str, Any]:
    return {
        "path": errors.dotted(each.path),
        "value": each.value,
        "from": [
            {
                **dict(zip(("file", "line", "column"), origin.place, strict=True)),
                "step": origin.step,
                "value": origin.value,
                "written": origin.written,
                "variables": [used._asdict() for used in origin.variables],
            }
            for origin in each.origins
        ],
        "implied": each.implied,
    }
