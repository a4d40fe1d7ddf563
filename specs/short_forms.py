"""Short forms spelled out, in one document, before it is merged: a table from key to function.

Afterwards every list of ports, volumes or env files holds mappings, `depends_on` and `networks` are mappings by name,
`environment` and `labels` are mappings, what may be one text or several is a list, a command is a list of words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from specs import commands, devices, mounts, ports, scalars
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, text_of

AS_COMPOSE = "x-short"
"""Of a mount: the short form of one whose source Compose takes for a drive of Windows."""

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
    items = _texts(node, path, findings).sequence()
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
    return node.with_value([item.with_value(scalars.as_text(_scalar(item))) for item in node.sequence()])


def _environment(node: Node, path: Path, findings: Findings) -> Node:
    return _pairs(node, path, findings, bare=None)


def _labels(node: Node, path: Path, findings: Findings) -> Node:
    return _pairs(node, path, findings, bare="")


def _pairs(node: Node, path: Path, findings: Findings, *, bare: str | None) -> Node:
    """A mapping to text. `bare` is the value of a name that has none."""
    if isinstance(node.value, dict):
        found = node.value.items()
        return node.with_value({name: child.with_value(_pair_value(child, bare)) for name, child in found})
    entries: dict[str, Node] = {}
    for index, item in enumerate(node.sequence()):
        name, equals, value = scalars.as_text(_scalar(item)).partition("=")
        if name != name.rstrip():
            findings.error(item, (*path, index), f"'{name}' is not a name: it ends with a space")
        entries[name] = item.with_value(value if equals else bare)
    return node.with_value(entries)


def _pair_value(node: Node, bare: str | None) -> str | None:
    return bare if node.value is None else scalars.as_text(_scalar(node))


def _extra_hosts(node: Node, path: Path, findings: Findings) -> Node:
    """A list of NAME=ADDRESS."""
    items: list[Node] = []
    for name, child in node.mapping().items():
        for item in child.value if isinstance(child.value, list) else [child]:
            items.append(item.with_value(f"{name}={_unbracketed(scalars.as_text(_scalar(item)))}"))
    for index, item in enumerate(node.sequence()):
        text = scalars.as_text(_scalar(item))
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
    spelled = _entry(node, path, _BUILD, findings)
    return spelled.with_value({"context": node.with_value("."), **spelled.mapping()})


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


def _ports(node: Node, path: Path, findings: Findings) -> Node:
    items = _spelled(
        node, path, findings, lambda item: [_long_port(item)] if isinstance(item.value, dict) else _short_port(item)
    )
    return node.with_value([*items])


def _spelled(node: Node, path: Path, findings: Findings, spell: Callable[[Node], list[Node]]) -> list[Node]:
    """What the items stand for; nothing at all if one cannot be read, so that no later error names a wrong index."""
    items: list[Node] = []
    before = len(findings.errors)
    for index, item in enumerate(node.sequence()):
        try:
            items += spell(item)
        except ValueError as error:
            findings.error(item, (*path, index), str(error))
    return items if len(findings.errors) == before else []


def _short_port(item: Node) -> list[Node]:
    found = []
    for port in ports.parse(scalars.as_text(_scalar(item))):
        fields: dict[str, Node] = {"target": item.with_value(port.target), "protocol": item.with_value(port.protocol)}
        if port.published:
            fields["published"] = item.with_value(port.published)
        if port.host_ip:
            fields["host_ip"] = item.with_value(port.host_ip)
        found.append(item.with_value(fields))
    return found


def _long_port(item: Node) -> Node:
    fields = dict(item.mapping())
    if item.get("target") is None:
        raise ValueError("target is missing")
    checks: Mapping[str, Callable[[str], str]] = {
        "published": ports.check_published,
        "protocol": ports.check_protocol,
        "host_ip": ports.check_address,
    }
    for key, check in checks.items():
        if (node := item.get(key)) is not None:
            check(text := scalars.as_text(_scalar(node)))
            fields[key] = node.with_value(text)
    return item.with_value(fields)


def _volumes(node: Node, path: Path, findings: Findings) -> Node:
    items = _spelled(
        node,
        path,
        findings,
        lambda item: [
            _short_mount(item, path, findings) if isinstance(item.value, str) else _long_mount(item, findings)
        ],
    )
    last = {text_of(item, "target"): item for item in items}
    for item in items:
        if last[text_of(item, "target")] is not item:
            findings.note(item, path, f"a later mount at {text_of(item, 'target')} replaces this one, as for Compose")
    return node.with_value([*items])


def _short_mount(item: Node, path: Path, findings: Findings) -> Node:
    mount = mounts.parse(str(item.value))
    empty: dict[str, Node] = {}
    fields: dict[str, Node] = {
        "type": item.with_value(mount.type),
        **({"source": item.with_value(mount.source)} if mount.source else {}),
        "target": item.with_value(mount.target),
        "read_only": item.with_value(mount.read_only),
    }
    if mount.nocopy:
        fields["volume"] = item.with_value({"nocopy": item.with_value(True)})
    elif mount.type == "volume" and len(str(item.value)) > 2:
        fields["volume"] = item.with_value(empty)
    given = {"propagation": mount.propagation, "selinux": mount.selinux}
    bind = {key: item.with_value(text) for key, text in given.items() if text}
    if mount.type == "bind":
        bind["create_host_path"] = item.with_value(True)  # compose-spec 05-services.md: of the short form
    if bind:
        fields["bind"] = item.with_value(bind)
    for option in mount.ignored:
        findings.note(item, path, f"the mount option '{option}' means nothing, to Compose either")
    if mounts.parse(str(item.value), with_drives=True) != mount:
        fields[AS_COMPOSE] = item
    return item.with_value(fields)


def _long_mount(item: Node, findings: Findings) -> Node:
    fields = dict(item.mapping())
    for key in ("type", "target"):
        if item.get(key) is None:
            raise ValueError(f"{key} is missing")
    fields["target"] = fields["target"].with_value(mounts.clean(str(fields["target"].value)))
    volume = fields.get("volume")
    if volume is not None and (labels := volume.get("labels")) is not None:
        fields["volume"] = volume.with_value({**volume.mapping(), "labels": _pairs(labels, (), findings, bare="")})
    return item.with_value(fields)


def _devices(node: Node, path: Path, findings: Findings) -> Node:
    items = _spelled(node, path, findings, lambda item: [_device(item)])
    return node.with_value([*items])


def _device(item: Node) -> Node:
    if isinstance(item.value, str):
        texts: tuple[str, ...] = devices.parse(item.value)
    elif item.get("source") is None:
        raise ValueError("source is missing")
    else:
        source = text_of(item, "source")
        texts = (source, text_of(item, "target") or source, text_of(item, "permissions") or devices.DEFAULT_ACCESS)
    fields = zip(("source", "target", "permissions"), texts, strict=True)
    return item.with_value({key: item.with_value(text) for key, text in fields})


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


def _scalar(node: Node) -> str | int | float | bool | None:
    return None if isinstance(node.value, dict | list) else scalars.unwrapped(node.value)


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
    "devices": _devices,
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
    "ports": _ports,
    "post_start": _hooks,
    "pre_start": _hooks,
    "pre_stop": _hooks,
    "secrets": _contents,
    "sysctls": _environment,
    "tmpfs": _texts,
    "volumes": _volumes,
    "x-corral": _only_ours,
}
_READ_WHOLE = {"command", "devices", "entrypoint", "expose", "extra_hosts", "ports"}
_RESOURCE: Mapping[str, Spell] = {"labels": _labels}
