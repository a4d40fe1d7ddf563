r"""Rows as `--format` asks: the part of Go's templates that people write for tables.

table                        the columns that the command has
json                         one JSON object a line
{{.Name}}: {{.Status}}       a line for each row; also {{json .}}, {{json .Name}}, {{upper .Name}}, {{lower .Name}}
table {{.Name}}\t{{.Image}}  the same as columns, under heads
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator import errors
from orchestrator.command_line import output

Row = Mapping[str, Any]

ACTION = re.compile(r"\{\{\s*(?:(json|upper|lower)\s+)?\.(\w*)\s*\}\}")
HEADS = {"ID": "CONTAINER ID", "RunningFor": "CREATED", "CreatedAt": "CREATED AT", "ExitCode": "EXIT CODE"}
"""Where it is not the field's name in capitals.  # docker/cli, docker/compose: cmd/formatter/container.go"""


def shown(form: str, rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """What is printed. `columns`: head and key of each, for `table`. Raises UsageError."""
    if form == "table":
        return output.table([*columns], [[str(row[key]) for key in columns.values()] for row in rows])
    if form == "json":
        return "".join(json.dumps(row, separators=(",", ":"), sort_keys=True) + "\n" for row in rows)
    is_table = form.startswith("table ")
    template = unescaped(form.removeprefix("table "))
    check(template, rows)
    lines = [filled(template, row) for row in rows]
    if not is_table:
        return "".join(f"{line}\n" for line in lines)
    heads = dict(zip(columns.values(), columns, strict=True)) | HEADS
    head = ACTION.sub(lambda match: heads.get(match[2], match[2].upper()), template)
    width = head.count("\t") + 1
    return output.table(head.split("\t"), [[*line.split("\t"), *[""] * width][:width] for line in lines])


def unescaped(text: str) -> str:
    """As Go's command line does: a backslash with t or n."""
    return text.replace("\\t", "\t").replace("\\n", "\n")


def check(template: str, rows: Sequence[Row]) -> None:
    """Raises UsageError for what is no template, or names a field that no row has."""
    rest = ACTION.sub("", template)
    if "{{" in rest or "}}" in rest or template == rest:
        raise errors.UsageError(
            f"cannot use --format {template!r}", hint="table, json, or fields like '{{.Name}} {{.Status}}'"
        )
    for field in (match[2] for match in ACTION.finditer(template)):
        if field and rows and field not in rows[0]:
            raise errors.UsageError(f"cannot use --format: there is no field {field}", hint=", ".join(sorted(rows[0])))


def filled(template: str, row: Row) -> str:
    def value(match: re.Match[str]) -> str:
        found = row[match[2]] if match[2] else dict(row)
        if match[1] == "json":
            return json.dumps(found, separators=(",", ":"), sort_keys=True)
        text = output.clean(str(found))
        return text.upper() if match[1] == "upper" else text.lower() if match[1] == "lower" else text

    return ACTION.sub(value, template)
