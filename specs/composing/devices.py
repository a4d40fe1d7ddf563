"""`devices` and `device_cgroup_rules`: which nodes of the machine's a container has, and which numbers it may use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from specs.errors import Path, SpecError
from specs.patterns import pattern

if TYPE_CHECKING:
    from specs.model.service import Service

_ACCESS = pattern(r"[rwm]{1,3}")
_RULE = pattern(r"[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}", re.ASCII)  # moby daemon/daemon_unix.go, deviceCgroupRuleRegex
DEFAULT_ACCESS = "rwm"


def parse(text: str) -> tuple[str, str, str]:
    """Source, target and access of SOURCE[:TARGET][:ACCESS]. Raises ValueError."""
    source, *more = text.split(":")
    access = more.pop() if more and _ACCESS.fullmatch(more[-1]) else DEFAULT_ACCESS
    if not source or len(more) > 1 or "" in more:
        raise ValueError(f"'{text}' is not SOURCE, SOURCE:TARGET or SOURCE:TARGET:rwm")
    return source, more[0] if more else source, access


def problems(service: Service, path: Path) -> Iterator[SpecError]:
    for index, device in enumerate(service.devices):
        where = (*path, "devices", index)
        if "=" in device.source and not device.source.startswith("/"):
            yield SpecError(
                where,
                f"'{device.source}' is a device of CDI, whose descriptions nothing here reads",
                hint="name its nodes",
            )
            continue
        for key, place in (("source", device.source), ("target", device.target)):
            if not place.startswith("/") or place == "/":
                yield SpecError((*where, key), f"'{place}' is not the absolute path of a device")
        if _ACCESS.fullmatch(device.permissions) is None:
            yield SpecError((*where, "permissions"), f"'{device.permissions}' is not of r, w and m")
    for index, rule in enumerate(service.device_cgroup_rules):
        if _RULE.fullmatch(rule) is None:
            message = f"'{rule}' is not a rule such as 'c 1:3 rwm': a, c or b, MAJOR:MINOR (or *), and of r, w, m"
            yield SpecError((*path, "device_cgroup_rules", index), message)
