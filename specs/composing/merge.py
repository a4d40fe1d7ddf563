"""Several documents made one: mappings are merged, lists appended, the rest is replaced; tables name the exceptions.

Documents come spelled out (`short_forms`). `!reset` and `!override` name paths that are dropped from what came before.
The rules are those of compose-go's override/merge.go and override/uncity.go.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeAlias

from specs import node as nodes
from specs import scalars
from specs.composing import mounts, short_lists
from specs.errors import Path
from specs.node import Node

Merge: TypeAlias = Callable[[Node, Node], Node]
Key: TypeAlias = Callable[[Node], Hashable]
Pattern: TypeAlias = tuple[str, ...]


def without_resets(document: Node) -> tuple[Node, list[Path]]:
    """The document without its `!reset` nodes, and the paths that its tags drop from the documents before it."""
    dropped: list[Path] = []
    return _without_resets(document, (), dropped), dropped


def merge(base: Node, other: Node, dropped: list[Path]) -> Node:
    """`other` laid over `base`, of which the `dropped` paths are gone."""
    for path in dropped:
        base = _without(base, path)
    return _unique(_merged(base, other, ()), ())


def service(base: Node, other: Node, name: str, dropped: list[Path]) -> Node:
    """One service laid over another, which it extends."""
    one, two = ({"services": node.with_value({name: node})} for node in (base, other))
    merged = merge(base.with_value({**one}), other.with_value({**two}), dropped)
    return merged.mapping()["services"].mapping()[name]


def entry(section: str, name: str, base: Node, other: Node) -> Node:
    """One entry of a section laid over another."""
    return _unique(_merged(base, other, (section, name)), (section, name))


def _without_resets(node: Node, path: Path, dropped: list[Path]) -> Node:
    if node.tag:
        dropped.append(path)
    value = node.value
    if isinstance(value, dict):
        children = {key: _without_resets(child, (*path, key), dropped) for key, child in value.items()}
        return node.with_value({key: child for key, child in children.items() if value[key].tag != "reset"})
    if isinstance(value, list):
        items = [_without_resets(item, (*path, i), dropped) for i, item in enumerate(value) if item.tag != "reset"]
        return node.with_value(items)
    return node


def _without(node: Node, path: Path) -> Node:
    value = node.value
    if not isinstance(value, dict) or not path or path[0] not in value:
        return node
    if len(path) == 1:
        return node.with_value({key: child for key, child in value.items() if key != path[0]})
    return node.with_value(
        {key: _without(child, path[1:]) if key == path[0] else child for key, child in value.items()}
    )


def _merged(base: Node, other: Node, path: Pattern) -> Node:
    for pattern, merger in _MERGERS:
        if _matches(path, pattern):
            return merger(base, other)
    if other.value is None:
        return base
    if isinstance(base.value, dict) and isinstance(other.value, dict):
        merged = dict(base.value)
        for key, child in other.value.items():
            merged[key] = _merged(merged[key], child, (*path, key)) if key in merged else child
        return Node(merged, other.place)
    if isinstance(base.value, list) and isinstance(other.value, list):
        return Node([*base.value, *other.value], other.place)
    return other


def _unique(node: Node, path: Pattern) -> Node:
    """Of list items with the same key only the last, at the first one's position."""
    if isinstance(node.value, dict):
        return node.with_value({name: _unique(child, (*path, name)) for name, child in node.value.items()})
    if not isinstance(node.value, list):
        return node
    key = key_of(path)
    if key is None:
        return node
    return node.with_value(list({key(item): item for item in node.value}.values()))


def key_of(path: Path) -> Key | None:
    """What makes two items of this list the same; None: nothing does."""
    return next((key for pattern, key in _UNIQUE if _matches(path, pattern)), None)


def _matches(path: Path, pattern: Pattern) -> bool:
    return len(path) == len(pattern) and all(wanted in ("*", part) for part, wanted in zip(path, pattern, strict=True))


# --------------------------------------------------------------------------------------------------------- the tables


def _replaced(base: Node, other: Node) -> Node:
    return other


def _united(base: Node, other: Node) -> Node:
    """Mappings whose empty values mean something."""
    return Node({**base.mapping(), **other.mapping()}, other.place)


def _logging(base: Node, other: Node) -> Node:
    """compose-go override/merge.go mergeLogging: another driver's options mean nothing to this one."""
    drivers = {nodes.text_of(each, "driver") for each in (base, other)} - {""}
    if len(drivers) > 1:
        return other
    merged = _united(base, other)
    options = [each.get("options") for each in (base, other)]
    if options[0] is None or options[1] is None:
        return merged
    return merged.with_value({**merged.mapping(), "options": _united(options[0], options[1])})


def _with_new(base: Node, other: Node) -> Node:
    have = {item.value for item in base.sequence() if isinstance(item.value, str)}
    return Node([*base.sequence(), *(item for item in other.sequence() if item.value not in have)], other.place)


def _pools(base: Node, other: Node) -> Node:
    """Each of the new pools, laid over the old one with the same subnet."""
    old = {nodes.text_of(pool, "subnet"): pool for pool in base.sequence()}
    merged = []
    for pool in other.sequence():
        have = old.get(nodes.text_of(pool, "subnet"))
        merged.append(_united(have, pool) if have is not None else pool)
    return Node(merged, other.place) if merged else base


def _before_equals(item: Node) -> Hashable:
    return scalars.as_text(_scalar(item)).partition("=")[0]


def _port_key(item: Node) -> Hashable:
    if not isinstance(item.value, dict):  # with a variable in it
        return _scalar(item)
    texts = {key: nodes.text_of(item, key) for key in ("host_ip", "published", "target", "protocol")}
    return (texts["host_ip"] or "0.0.0.0", texts["published"], texts["target"], texts["protocol"] or "tcp")


def _target(item: Node) -> Hashable:
    return nodes.text_of(item, "target")


def _mount_target(item: Node) -> Hashable:
    """As Compose sees it, also where that is not what was meant: `x:/a` is one of a drive."""
    short = item.get(short_lists.AS_COMPOSE) if isinstance(item.value, dict) else None
    return _target(item) if short is None else mounts.parse(str(short.value), with_drives=True).target


def _content_key(folder: str) -> Key:
    """Where a config or a secret is in the container."""
    return lambda item: nodes.text_of(item, "target") or f"{folder}/{nodes.text_of(item, 'source')}"


def _path(item: Node) -> Hashable:
    return nodes.text_of(item, "path")


def _scalar(item: Node) -> nodes.Scalar:
    return None if isinstance(item.value, dict | list) else item.value


_MERGERS: tuple[tuple[Pattern, Merge], ...] = (
    (("services", "*", "annotations"), _united),
    (("services", "*", "build", "args"), _united),
    (("services", "*", "command"), _replaced),
    (("services", "*", "entrypoint"), _replaced),
    (("services", "*", "environment"), _united),
    (("services", "*", "extra_hosts"), _with_new),
    (("services", "*", "healthcheck", "test"), _replaced),
    (("services", "*", "labels"), _united),
    (("services", "*", "logging"), _logging),
    (("services", "*", "sysctls"), _united),
    (("services", "*", "ulimits", "*"), _replaced),
    (("services", "*", "x-corral", "leave", "command"), _replaced),
    (("services", "*", "x-corral", "leave", "environment"), _united),
    (("networks", "*", "ipam", "config"), _pools),
    (("networks", "*", "labels"), _united),
    (("volumes", "*", "labels"), _united),
    (("configs", "*", "labels"), _united),
    (("secrets", "*", "labels"), _united),
)
_UNIQUE: tuple[tuple[Pattern, Key], ...] = (
    (("services", "*", "build", "tags"), _before_equals),
    (("services", "*", "cap_add"), _before_equals),
    (("services", "*", "cap_drop"), _before_equals),
    (("services", "*", "configs"), _content_key("")),
    (("services", "*", "devices"), _target),
    (("services", "*", "dns"), _before_equals),
    (("services", "*", "dns_opt"), _before_equals),
    (("services", "*", "dns_search"), _before_equals),
    (("services", "*", "env_file"), _path),
    (("services", "*", "expose"), _before_equals),
    (("services", "*", "links"), _before_equals),
    (("services", "*", "networks", "*", "aliases"), _before_equals),
    (("services", "*", "networks", "*", "link_local_ips"), _before_equals),
    (("services", "*", "ports"), _port_key),
    (("services", "*", "profiles"), _before_equals),
    (("services", "*", "secrets"), _content_key("/run/secrets")),
    (("services", "*", "tmpfs"), _before_equals),
    (("services", "*", "volumes"), _mount_target),
)
