"""Canonical values of the keys that say what a container's processes may do: capabilities, ulimits, groups, sysctls.

The functions of the first part make canonical forms (see `values`); `problems` says what is wrong with them, in the
daemon too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from specs.canonical import capabilities, sysctls
from specs.context import Context
from specs.errors import Path, SpecError, did_you_mean
from specs.node import Node

if TYPE_CHECKING:
    from specs.model.service import Service

ULIMITS = (  # docker/go-units ulimit.go: what setrlimit(2) knows, but `as`
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"),
    *("rttime", "sigpending", "stack"),
)
UNLIMITED = -1
_LIMIT_MAX = 2**63 - 1
_OOM_SCORES = (-1000, 1000)  # linux/oom.h, OOM_SCORE_ADJ_MIN and _MAX


# ------------------------------------------------------------------------------------------------------ canonical forms


def capability_names(node: Node, path: Path, context: Context) -> Node | None:
    return _each_once(node, capabilities.plain)


def groups(node: Node, path: Path, context: Context) -> Node | None:
    """Names and numbers, as text."""
    return _each_once(node, str)


def ulimits(node: Node, path: Path, context: Context) -> Node | None:
    """`{soft, hard}` of each."""
    found: dict[str, Node] = {}
    for name, child in node.mapping().items():
        if child.value is None:
            context.findings.error(child, (*path, name), "is empty: give it a value or remove it")
        elif isinstance(child.value, dict):
            found[name] = _pair(child, (*path, name), context)
        else:
            found[name] = child.with_value({"soft": child, "hard": child})
    return node.with_value(found) if found else None


def sysctl_values(node: Node, path: Path, context: Context) -> Node | None:
    for name, child in node.mapping().items():
        if child.value is None:
            context.findings.error(child, (*path, name), f"{name} needs a value")
    return node if node.mapping() else None


def _pair(node: Node, path: Path, context: Context) -> Node:
    for key in ("soft", "hard"):
        if node.get(key) is None:
            context.findings.error(node, path, f"{key} is missing")
    return node


def _each_once(node: Node, canonical: Callable[[str], str]) -> Node | None:
    items: dict[str, Node] = {}
    for item in node.sequence():
        text = canonical(str(item.value))
        items.setdefault(text, item.with_value(text))
    return node.with_value([*items.values()]) if items else None


# -------------------------------------------------------------------------------------------------------- what is wrong


def problems(service: Service, path: Path) -> Iterator[SpecError]:
    """Every word of the service's about these that is none, or that a container cannot have."""
    for key, names in (("cap_add", service.cap_add), ("cap_drop", service.cap_drop)):
        for index, name in enumerate(names):
            if name not in (*capabilities.NAMES, capabilities.ALL):
                close = did_you_mean(name, (*capabilities.NAMES, capabilities.ALL))
                yield SpecError((*path, key, index), f"'{name}' is not a capability", hint=close)
    for name, limit in service.ulimits.items():
        yield from _ulimit(name, (limit.soft, limit.hard), (*path, "ulimits", name))
    for name, value in service.sysctls.items():
        why, hint = sysctls.refusal(name, value)
        if not why and service.network_mode == "host" and sysctls.of_network(name):
            why = f"{name} cannot be set with network_mode host: it is the machine's then"
        if why:
            yield SpecError((*path, "sysctls", name), why, hint=hint)
    for index, group in enumerate(service.group_add):
        if not group or ":" in group or (group.isdigit() and int(group) > 2**32 - 2):
            yield SpecError((*path, "group_add", index), f"'{group}' is not a group")
    if not _OOM_SCORES[0] <= service.oom_score_adj <= _OOM_SCORES[1]:
        message = f"{service.oom_score_adj} is not between {_OOM_SCORES[0]} and {_OOM_SCORES[1]}"
        yield SpecError((*path, "oom_score_adj"), message)
    if service.shm_size is not None and service.shm_size <= 0:
        yield SpecError((*path, "shm_size"), f"{service.shm_size} is not more than 0")


def _ulimit(name: str, limits: tuple[int, int], path: Path) -> Iterator[SpecError]:
    soft, hard = limits
    if name not in ULIMITS:
        yield SpecError(path, f"'{name}' is not a limit: {', '.join(ULIMITS)}", hint=did_you_mean(name, ULIMITS))
    for limit in dict.fromkeys(limits):
        if not UNLIMITED <= limit <= _LIMIT_MAX:
            yield SpecError(path, f"{limit} is not a limit: 0 or more, or {UNLIMITED} for none")
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        yield SpecError(path, f"the soft limit {soft} is more than the hard limit {hard}")
