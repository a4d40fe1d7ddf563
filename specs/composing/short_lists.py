"""Short forms of what a service has several of: ports, mounts, devices."""

from __future__ import annotations

from collections.abc import Callable

from specs import scalars
from specs.composing import devices, mounts, pairs, ports
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, text_of

AS_COMPOSE = "x-short"
"""Of a mount: the short form of one whose source Compose takes for a drive of Windows."""


PORTS_MOST = 65535
"""Of one project, ranges counted as what they stand for: a machine has no more of one protocol. Reading ends at more."""


def ports_of(node: Node, path: Path, findings: Findings) -> Node:
    def spell(item: Node) -> list[Node]:
        if findings.ports > PORTS_MOST:  # told already
            return []
        found = [item] if isinstance(item.value, dict) else ports.parse(scalars.as_text(pairs.scalar(item)))
        findings.ports += len(found)
        if findings.ports > PORTS_MOST:
            raise ValueError(f"more than {PORTS_MOST} ports")
        return [_long_port(each) if isinstance(each, Node) else _short_port(item, each) for each in found]

    items = _spelled(node, path, findings, spell)
    if findings.ports > PORTS_MOST:
        findings.raise_errors()
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


def _short_port(item: Node, port: ports.Mapped) -> Node:
    fields: dict[str, Node] = {"target": item.with_value(port.target), "protocol": item.with_value(port.protocol)}
    if port.published:
        fields["published"] = item.with_value(port.published)
    if port.host_ip:
        fields["host_ip"] = item.with_value(port.host_ip)
    return item.with_value(fields)


def _long_port(item: Node) -> Node:
    if item.get("target") is None:
        raise ValueError("target is missing")
    fields = dict(item.mapping())
    if (published := item.get("published")) is not None:
        fields["published"] = published.with_value(scalars.as_text(pairs.scalar(published)))
    return item.with_value(fields)


def mounts_of(node: Node, path: Path, findings: Findings) -> Node:
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
        fields["volume"] = volume.with_value(
            {**volume.mapping(), "labels": pairs.spell_out(labels, (), findings, bare="")}
        )
    return item.with_value(fields)


def devices_of(node: Node, path: Path, findings: Findings) -> Node:
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
