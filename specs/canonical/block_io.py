"""`blkio_config`: weights and rates of block devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from specs import units
from specs.context import Context
from specs.errors import Path, SpecError
from specs.node import Node, text_of

if TYPE_CHECKING:
    from specs.model.service import BlockIo

RATES = ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")
_WEIGHTS = (10, 1000)  # compose-spec 05-services.md, blkio_config


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    """Rates as numbers; of two for one device the last."""
    fields = {key: child for key, child in node.mapping().items() if child.value is not None}
    if "weight" in fields and fields["weight"].value == 0:
        del fields["weight"]
    for key, value in (*((key, "rate") for key in RATES), ("weight_device", "weight")):
        if key in fields:
            items = enumerate(fields[key].sequence())
            by_path = {
                text_of(item, "path"): _limit(item, value, (*path, key, index), context) for index, item in items
            }
            fields[key] = fields[key].with_value([*by_path.values()])
    return node.with_value(fields) if fields else None


def _limit(item: Node, key: str, path: Path, context: Context) -> Node:
    fields = dict(item.mapping())
    for name in ("path", key):
        if item.get(name) is None:
            context.findings.error(item, path, f"{name} is missing")
    if (rate := item.get("rate")) is not None:
        try:
            fields["rate"] = rate.with_value(units.parse_bytes(str(rate.value)))
        except ValueError as error:
            context.findings.error(rate, (*path, "rate"), str(error))
    return item.with_value(fields)


def problems(limits: BlockIo, path: Path) -> Iterator[SpecError]:
    weights: list[tuple[Path, int]] = [(("weight",), limits.weight)] if limits.weight is not None else []
    weights += [(("weight_device", index), each.weight) for index, each in enumerate(limits.weight_device)]
    for where, weight in weights:
        if not _WEIGHTS[0] <= weight <= _WEIGHTS[1]:
            yield SpecError((*path, *where), f"{weight} is not between {_WEIGHTS[0]} and {_WEIGHTS[1]}")
    for key in (*RATES, "weight_device"):
        for index, limit in enumerate(getattr(limits, key)):
            if not limit.path.startswith("/"):
                yield SpecError((*path, key, index), f"'{limit.path}' is not the absolute path of a device")
            if key in RATES and limit.rate <= 0:
                yield SpecError((*path, key, index), f"{limit.rate} is not more than 0")
