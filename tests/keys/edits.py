"""One project with a service for each of many rows, so that one edit of the file is the edit of all of them."""

import json
from collections.abc import Iterable
from typing import Any

from tests.keys import rows
from tests.keys.rows import Part, Row

SLEEPS = {"image": "IMAGE", "init": True, "command": "sleep 1000"}
MACS, ADDRESSES, PORTS = "02:42:ac:11:00:", "10.9.0.", ("18080", "18081")
"""What two services of one project cannot both have, as the rows say it."""


def name_of(row: Row) -> str:
    """The service that its edit is one of."""
    return f"r{rows.ROWS.index(row)}"


def project(before: Iterable[Row], after: Iterable[Row] = ()) -> dict[str, Any]:
    """Of services that sleep: for each row the one that has the state before its edit, or after it."""
    document: dict[str, Any] = {
        "services": {"b": SLEEPS},
        "networks": {
            "default": {"ipam": {"config": [{"subnet": "10.9.0.0/16", "ip_range": "10.9.128.0/17"}]}},
            "other": {},
            "six": {"enable_ipv6": True, "ipam": {"config": [{"subnet": "fd12::/64"}]}},
        },
        "volumes": {"data": {}, "old": {}},
        "configs": {"c": {"content": "text"}, "other": {"content": "text"}},
        "secrets": {"s": {"environment": "V"}, "other": {"environment": "V"}},
    }
    for row in before:
        _add(document, row, row.before)
    for row in after:
        _add(document, row, row.after)
    return document


def _add(document: dict[str, Any], row: Row, part: Part) -> None:
    name, part = name_of(row), _own(row, part)
    section, _, below = row.path.partition(".")
    services = document["services"]
    if section == "services":
        services[name] = {**SLEEPS, **part}
        return
    services[name] = dict(SLEEPS)
    if not below:
        document.update(part)
        return
    whole = {
        "networks": _own(row, {"ipam": {"config": [{"subnet": f"{ADDRESSES}0/24"}]}}),
        "configs": {"content": "text"},
        "secrets": {"environment": "V"},
    }.get(section, {})
    document[section][name] = {key: value for key, value in {**whole, **part}.items() if value is not None}
    services[name][section] = [f"{name}:/data" if section == "volumes" else name]


def _own(row: Row, part: Part) -> dict[str, Any]:
    """The part with what nobody else has: the service's ports and MAC address, the network's subnet."""
    number = rows.ROWS.index(row)
    text = json.dumps(dict(part))
    for index, port in enumerate(PORTS):
        text = text.replace(port, str(20000 + 1000 * index + number))
    text = text.replace(f"{MACS}02", f"{MACS}{number:02x}")
    if row.path.startswith("networks."):
        text = text.replace(ADDRESSES, f"10.19.{number}.").replace("10.8.0.", f"10.18.{number}.")
    made: dict[str, Any] = json.loads(text)
    return made
