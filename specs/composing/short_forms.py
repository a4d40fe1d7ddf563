"""Short forms spelled out, in one document, before it is merged: a table from key to function.

Afterwards every list of ports, volumes or env files holds mappings, `depends_on` and `networks` are mappings by name,
`environment` and `labels` are mappings, what may be one text or several is a list, a command is a list of words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from specs import scalars
from specs.composing import commands, pairs, short_lists
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node

Spell: TypeAlias = Callable[[Node, Path, Findings], Node]


def spell_out(document: Node, findings: Findings, *, is_filled: bool = True) -> Node:
    """The document with its short forms spelled out. What cannot be read is an error, and left as it is. `is_filled` False: what
    is read as a whole stays, as variables may be anywhere in it."""
    sections: Mapping[str, Mapping[str, Spell]] = {
        "services": _SERVICE if is_filled else {key: _SERVICE[key] for key in _SERVICE.keys() - _READ_WHOLE},
        **dict.fromkeys(("networks", "volumes", "configs", "secrets"), _RESOURCE),
        "volumes": {**_RESOURCE, "driver_opts": _environment},
    }
    top = dict(document.mapping())
    for section, table in sections.items():
        if section in top:
            top[section] = _each(top[section], (section,), table, findings)
    return document.with_value(top)


def _each(section: Node, path: Path, table: Mapping[str, Spell], findings: Findings) -> Node:
    if not isinstance(section.value, dict):
        return section
    entries = {name: _entry(node, (*path, name), table, findings) for name, node in section.value.items()}
    return section.with_value(entries)


def _entry(entry: Node, path: Path, table: Mapping[str, Spell], findings: Findings) -> Node:
    if not isinstance(entry.value, dict):
        return entry
    fields = dict(entry.value)
    for key, node in entry.value.items():
        if key in table and node.value is not None:
            fields[key] = table[key](node, (*path, key), findings)
    return entry.with_value(_external_name(fields, path, findings))


# ------------------------------------------------------------------------------------------------------ one key each


def _depends_on(node: Node, path: Path, findings: Findings) -> Node:
    def dependency(item: Node) -> Node:
        fields = {"condition": item.with_value("service_started"), "required": item.with_value(True)}
        return item.with_value({**fields})

    return _by_name(node, dependency)


def _networks(node: Node, path: Path, findings: Findings) -> Node:
    return _by_name(node, lambda item: item.with_value(None))


def _env_file(node: Node, path: Path, findings: Findings) -> Node:
    items = node.value if isinstance(node.value, list) else [node]
    return node.with_value([item.with_value({"path": item}) if isinstance(item.value, str) else item for item in items])


def _contents(node: Node, path: Path, findings: Findings) -> Node:
    items = [item.with_value({"source": item}) if isinstance(item.value, str) else item for item in node.sequence()]
    for index, item in enumerate(items):
        if item.get("source") is None:
            findings.error(item, (*path, index), "source is missing")
    return node.with_value([item for item in items if item.get("source") is not None])


def _texts(node: Node, path: Path, findings: Findings) -> Node:
    """A list, also of a single text; empty texts mean nothing."""
    items = node.value if isinstance(node.value, list) else [node]
    return node.with_value([item for item in items if item.value != ""])


def _numbers_as_texts(node: Node, path: Path, findings: Findings) -> Node:
    for index, item in enumerate(node.sequence()):
        if isinstance(item.value, float):
            findings.error(item, (*path, index), f"'{item.value}' is not a port")
    return node.with_value([item.with_value(scalars.as_text(pairs.scalar(item))) for item in node.sequence()])


def _environment(node: Node, path: Path, findings: Findings) -> Node:
    return pairs.spell_out(node, path, findings, bare=None)


def _labels(node: Node, path: Path, findings: Findings) -> Node:
    return pairs.spell_out(node, path, findings, bare="")


def _extra_hosts(node: Node, path: Path, findings: Findings) -> Node:
    """A list of NAME=ADDRESS."""
    items: list[Node] = []
    for name, child in node.mapping().items():
        if child.value is None:
            findings.error(child, (*path, name), "is empty: give it an address")
        for item in child.value if isinstance(child.value, list) else [child]:
            items.append(item.with_value(f"{name}={_unbracketed(scalars.as_text(pairs.scalar(item)))}"))
    for index, item in enumerate(node.sequence()):
        text = scalars.as_text(pairs.scalar(item))
        name, separator, addresses = text.partition("=" if "=" in text else ":")
        if not separator:
            findings.error(item, (*path, index), f"'{text}' is not NAME=ADDRESS")
        for address in addresses.split(","):
            items.append(item.with_value(f"{name}={_unbracketed(address)}"))
    return node.with_value(items)


def _unbracketed(address: str) -> str:
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def _command(node: Node, path: Path, findings: Findings) -> Node:
    if not isinstance(node.value, str):
        return node
    try:
        words, left = commands.split(node.value)
    except ValueError as error:
        findings.error(node, path, str(error), hint='for a shell write ["sh", "-c", "…"]')
        return node
    if left:
        findings.note(node, path, f"'{left}' is cut off, as Compose does: no shell reads this")
    return node.with_value([node.with_value(word) for word in words])


def _build(node: Node, path: Path, findings: Findings) -> Node:
    if isinstance(node.value, str):
        return node.with_value({"context": node})
    return _entry(node, path, _BUILD, findings)


def _deploy(node: Node, path: Path, findings: Findings) -> Node:
    return _entry(node, path, {"labels": _labels}, findings)


def _develop(node: Node, path: Path, findings: Findings) -> Node:
    watch = node.get("watch")
    if watch is None:
        return node
    items = [_entry(item, (*path, "watch", index), _RULE, findings) for index, item in enumerate(watch.sequence())]
    return node.with_value({**node.mapping(), "watch": watch.with_value(items)})


def _hook(node: Node, path: Path, findings: Findings) -> Node:
    return _entry(node, path, _HOOK, findings)


def _models(node: Node, path: Path, findings: Findings) -> Node:
    return _by_name(node, lambda item: item.with_value(None))


def _healthcheck(node: Node, path: Path, findings: Findings) -> Node:
    test = node.get("test")
    if test is None or not isinstance(test.value, str):
        return node
    words: list[Node] = [test.with_value("CMD-SHELL"), test]
    return node.with_value({**node.mapping(), "test": test.with_value(words)})


def _hooks(node: Node, path: Path, findings: Findings) -> Node:
    return node.with_value(
        [_entry(item, (*path, index), _HOOK, findings) for index, item in enumerate(node.sequence())]
    )


def _only_ours(node: Node, path: Path, findings: Findings) -> Node:
    fields = dict(node.mapping())
    if (replica := node.get("replica")) is not None and not isinstance(replica.value, list):
        fields["replica"] = replica.with_value([replica])
    if (leave := node.get("leave")) is not None:
        fields["leave"] = _entry(leave, (*path, "leave"), _HOOK, findings)
    return node.with_value(fields)


def _external_name(fields: dict[str, Node], path: Path, findings: Findings) -> dict[str, Node]:
    """`external: {name: …}`, the old form, as `external: true` with a name."""
    external = fields.get("external")
    if external is None or not isinstance(external.value, dict):
        return fields
    old, name = external.value.get("name"), fields.get("name")
    if old is not None and name is not None and old.value != name.value:
        findings.error(old, (*path, "external", "name"), f"'{old.value}' is not the name '{name.value}' beside it")
    fields["external"] = external.with_value(True)
    if old is not None:
        fields["name"] = old
    return fields


def _by_name(node: Node, value: Callable[[Node], Node]) -> Node:
    if isinstance(node.value, dict):
        return node
    return node.with_value({str(item.value): value(item) for item in node.sequence()})


_HOOK: Mapping[str, Spell] = {"command": _command, "environment": _environment}
_BUILD: Mapping[str, Spell] = {
    "additional_contexts": _labels,
    "args": _environment,
    "extra_hosts": _extra_hosts,
    "labels": _labels,
    "no_cache_filter": _texts,
    "secrets": _contents,
    "ssh": _labels,
}
_RULE: Mapping[str, Spell] = {"exec": _hook, "ignore": _texts, "include": _texts}
_SERVICE: Mapping[str, Spell] = {
    "annotations": _labels,
    "build": _build,
    "command": _command,
    "configs": _contents,
    "depends_on": _depends_on,
    "deploy": _deploy,
    "develop": _develop,
    "devices": short_lists.devices_of,
    "dns": _texts,
    "dns_search": _texts,
    "entrypoint": _command,
    "env_file": _env_file,
    "environment": _environment,
    "expose": _numbers_as_texts,
    "extra_hosts": _extra_hosts,
    "healthcheck": _healthcheck,
    "label_file": _texts,
    "labels": _labels,
    "models": _models,
    "networks": _networks,
    "ports": short_lists.ports_of,
    "post_start": _hooks,
    "pre_start": _hooks,
    "pre_stop": _hooks,
    "secrets": _contents,
    "sysctls": _environment,
    "tmpfs": _texts,
    "volumes": short_lists.mounts_of,
    "x-corral": _only_ours,
}
_READ_WHOLE = {"command", "devices", "entrypoint", "expose", "extra_hosts", "ports"}
_RESOURCE: Mapping[str, Spell] = {"labels": _labels}
