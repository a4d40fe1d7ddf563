r"""Rows as `--format` asks: the part of Go's templates that people write for tables.

table                        the columns that the command has
json                         one JSON object a line
{{.Name}}: {{.Status}}       a line for each row; also {{json .}}, {{json .Name}}, {{upper .Name}}, {{lower .Name}}
{{.IPAM.Driver}}             what is in a field
table {{.Name}}\t{{.Image}}  the same as columns, under heads
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator import errors
from orchestrator.command_line import output

Row = Mapping[str, Any]

ACTION = re.compile(r"\{\{\s*(?:(json|upper|lower)\s+)?\.((?:\w+(?:\.\w+)*)?)\s*\}\}")
HEADS = {"ID": "CONTAINER ID", "RunningFor": "CREATED", "CreatedAt": "CREATED AT", "ExitCode": "EXIT CODE"}
"""Where it is not the field's name in capitals.  # docker/cli, docker/compose: cmd/formatter/container.go"""


def shown(form: str, rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """What is printed. `columns`: head and key of each, for `table`. Raises UsageError."""
    if form == "table":
        return output.table([*columns], [[str(row[key]) for key in columns.values()] for row in rows])
    if form == "json":
        return "".join(json.dumps(row, separators=(",", ":"), sort_keys=True) + "\n" for row in rows)
    if not form.startswith("table "):
        return lines(form, rows)
    template = checked(form.removeprefix("table "), rows)
    heads = HEADS | {key: head for head, key in columns.items()}
    head = ACTION.sub(lambda match: heads.get(match[2], match[2].upper()), template)
    width = head.count("\t") + 1
    cells = [[*filled(template, row).split("\t"), *[""] * width][:width] for row in rows]
    return output.table(head.split("\t"), cells)


def lines(form: str, rows: Sequence[Row]) -> str:
    """The template filled in for each row, a line each. Raises UsageError."""
    template = checked(form, rows)
    return "".join(f"{filled(template, row)}\n" for row in rows)


def checked(text: str, rows: Sequence[Row]) -> str:
    """The template; a backslash with t or n is as for Go's command line. Raises UsageError for what is none, or names a field
    that no row has."""
    template = text.replace("\\t", "\t").replace("\\n", "\n")
    rest = ACTION.sub("", template)
    if "{{" in rest or "}}" in rest or template == rest:
        raise errors.UsageError(
            f"cannot use --format {template!r}", hint="table, json, or fields like '{{.Name}} {{.Status}}'"
        )
    for field in (match[2].partition(".")[0] for match in ACTION.finditer(template)):
        if field and rows and field not in rows[0]:
            raise errors.UsageError(f"cannot use --format: there is no field {field}", hint=", ".join(sorted(rows[0])))
    return template


def filled(template: str, row: Row) -> str:
    def value(match: re.Match[str]) -> str:
        found = value_at(row, match[2])
        if match[1] == "json":
            return json.dumps(found, separators=(",", ":"), sort_keys=True)
        text = output.clean(printed(found))
        return text.upper() if match[1] == "upper" else text.lower() if match[1] == "lower" else text

    return ACTION.sub(value, template)


def value_at(row: Row, path: str) -> Any:
    """What a field has, or what is in it; None for what is not there. "": the whole row."""
    found: Any = dict(row)
    for key in path.split(".") if path else ():
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def printed(value: Any) -> str:
    """As Go prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{printed(each)}' for key, each in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(printed, value))}]"
    return str(value)
