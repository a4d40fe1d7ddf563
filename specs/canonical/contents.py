"""The content of configs and secrets: where it comes from, and read.

A file is read with the rights of whoever runs the command. What was read travels in the canonical document as base64 text under
`data`, which `config` does not print.
"""

from __future__ import annotations

import base64

from specs import local_files
from specs.context import Context
from specs.errors import Path
from specs.node import Node, text_of

SECTIONS = ("configs", "secrets")
BYTES_MAX = 1_000_000  # moby: 1000 KiB of a config, 500 KiB of a secret; one for both here
ELSEWHERE = {
    "external": "nothing here keeps one",
    "driver": "corral has no plugins, and docker compose takes no driver either",
    "template_driver": "templates are for clusters, and docker compose takes none either",
}
"""What keeps, or makes, the content of one where that is not here."""
SOURCES = {"configs": ("file", "content", "environment"), "secrets": ("file", "environment")}


def canonical(section: str, name: str, node: Node, path: Path, context: Context) -> Node:
    """Its fields without what is empty; nothing is read yet, and who keeps it elsewhere is no matter until a service uses it."""
    fields = {key: child for key, child in node.mapping().items() if child.value is not None}
    for key in ELSEWHERE:
        if key in fields and fields[key].value in (False, ""):
            del fields[key]
    if "driver" not in fields:
        fields.pop("driver_opts", None)
    given = [key for key in SOURCES[section] if key in fields]
    if len(given) != 1 and not fields.keys() & ELSEWHERE.keys():
        message = f"a {section[:-1]} needs one of {', '.join(SOURCES[section])}"
        context.findings.error(node, path, message if not given else f"{message}; it has {' and '.join(given)}")
    if "file" in fields:
        fields["file"] = fields["file"].with_value(context.absolute(str(fields["file"].value)))
    default = node.with_value(f"{context.project_name}_{name}")
    return node.with_value({"name": fields.pop("name", default), **fields})


def canonical_use(node: Node, path: Path, context: Context) -> Node:
    """The mode as a number, of which text is octal, as everywhere; owners as text."""
    fields = {key: child for key, child in node.mapping().items() if child.value is not None}
    fields |= {key: fields[key].with_value(str(fields[key].value)) for key in ("uid", "gid") if key in fields}
    mode = fields.get("mode")
    if mode is not None:
        try:
            number = int(mode.value, 8) if isinstance(mode.value, str) else int(str(mode.value))
            if not 0 <= number <= 0o7777:
                raise ValueError
            fields["mode"] = mode.with_value(number)
        except ValueError:
            context.findings.error(mode, (*path, "mode"), f"'{mode.value}' is not a mode such as 0440")
    return node.with_value(fields)


def read(document: Node, context: Context) -> Node:
    """The document with `data` of every config and secret in it."""
    sections: dict[str, Node] = {}
    for section in SECTIONS:
        entries = document.mapping().get(section)
        found = entries.mapping().items() if entries is not None else ()
        read_ = {name: _with_data(section, node, (section, name), context) for name, node in found}
        sections[section] = document.with_value(read_)
    return document.with_value({**document.mapping(), **sections})


def _with_data(section: str, node: Node, path: Path, context: Context) -> Node:
    for key, why in ELSEWHERE.items():
        if (said := node.get(key)) is not None:
            way_out = f"give {' or '.join(SOURCES[section])}"
            context.findings.error(said, (*path, key), f"is not supported for a {section[:-1]}: {why}", way_out)
            return node
    data = _data(node, path, context)
    if len(data) > BYTES_MAX:
        context.findings.error(node, path, f"has {len(data)} bytes, {BYTES_MAX} are the most")
    return node.with_value({**node.mapping(), "data": node.with_value(base64.b64encode(data).decode())})


def _data(node: Node, path: Path, context: Context) -> bytes:
    if file := text_of(node, "file"):
        try:
            return local_files.content(file, BYTES_MAX + 1)
        except OSError as error:
            context.findings.error(node.mapping()["file"], (*path, "file"), f"cannot read {file}: {error.strerror}")
            return b""
    if variable := text_of(node, "environment"):
        if variable not in context.variables:
            context.findings.error(node.mapping()["environment"], (*path, "environment"), f"{variable} is not set")
        return context.variables.get(variable, "").encode("utf-8", "surrogateescape")
    return text_of(node, "content").encode()
