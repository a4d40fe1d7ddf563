"""The nodes of a lab, read from what `corral config --format json` says, for somebody who starts them without corral.

What a by-hand start does not do is refused: a lab that asks for more than is done here would be compared with less than itself.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Service = dict[str, Any]
KNOWN = frozenset(
    {
        *("command", "cpus", "depends_on", "environment", "healthcheck", "image", "mem_limit", "networks", "pre_start"),
        *("scale", "volumes", "working_dir", "x-corral"),
        *("init", "ports", "restart", "stop_grace_period"),
    }
)
"""What is started by hand too; and what there is nothing to do for: orphans go to pid 1, nobody asks from outside, none ends."""

KNOWN_OF_OURS = frozenset({"leave", "pages", "replica"})
KNOWN_OF_REPLICA = frozenset({"environment", "hostname"})
HEALTHY, STARTED = "service_healthy", "service_started"
"""What a node waits for before it starts; of the second nothing, since by hand all names are there from the beginning."""

NETWORK = "10.79.0"


class NotByHandError(SystemExit):
    """A lab uses what the by-hand start does not do."""


@dataclass(frozen=True)
class Mount:
    """`volume`: what is bound is a folder that the cluster makes, not one that is there."""

    source: str
    target: str
    read_only: bool
    volume: bool


@dataclass(frozen=True)
class Node:
    """`first`: of its service, which runs `formatting` for all. `probe`: succeeds when it is usable; none: it is as soon as it runs."""

    name: str
    service: str
    first: bool
    address: str
    command: list[str]
    environment: dict[str, str]
    working_dir: str
    mounts: list[Mount]
    formatting: list[list[str]]
    probe: list[str]
    waits_for: list[str]
    memory_bytes: int
    cpus: float


def read(told: str) -> list[Node]:
    """The nodes of the canonical model, as corral told it."""
    model = json.loads(told.replace("$$", "$"))  # written so that it could be read as a compose file again
    services = model["services"]
    names = {service: list(_names(service, body)) for service, body in services.items()}
    every = [(service, number) for service in services for number in range(1, len(names[service]) + 1)]
    return [
        _node(model, service, number, names, f"{NETWORK}.{position + 10}")
        for position, (service, number) in enumerate(every)
    ]


def _names(service: str, body: Service) -> Iterator[str]:
    """As corral calls them: the only one like the service."""
    count = int(body.get("scale", 1))
    for number in range(1, count + 1):
        hostname = body.get("x-corral", {}).get("replica", {}).get("hostname")
        yield _indexed(hostname, number) if hostname else service if count == 1 else f"{service}-{number}"


def _node(model: dict[str, Any], service: str, number: int, names: dict[str, list[str]], address: str) -> Node:
    body = model["services"][service]
    _refuse(service, body)
    replica = body.get("x-corral", {}).get("replica", {})
    over = {key: _indexed(value, number) for key, value in replica.get("environment", {}).items()}
    return Node(
        name=names[service][number - 1],
        service=service,
        first=number == 1,
        address=address,
        command=body["command"],
        environment=body.get("environment", {}) | over,
        working_dir=body.get("working_dir", "/"),
        mounts=[_mount(model, each, number) for each in body.get("volumes", [])],
        formatting=[step["command"] for step in body.get("pre_start", [])],
        probe=_probe(body.get("healthcheck")),
        waits_for=[
            name
            for needed, how in body.get("depends_on", {}).items()
            if how["condition"] == HEALTHY
            for name in names[needed]
        ],
        memory_bytes=int(body.get("mem_limit", 0)),
        cpus=float(body.get("cpus", 0)),
    )


def _refuse(service: str, body: Service) -> None:
    ours = body.get("x-corral", {})
    said = {key for key, value in body.items() if value is not None}
    unknown = (said - KNOWN) | (ours.keys() - KNOWN_OF_OURS) | (ours.get("replica", {}).keys() - KNOWN_OF_REPLICA)
    unknown |= {key for step in body.get("pre_start", []) for key in step.keys() - {"command"}}
    unknown |= {each["condition"] for each in body.get("depends_on", {}).values()} - {HEALTHY, STARTED}
    if body.get("image") != "host":
        unknown.add(f"image: {body.get('image')}")
    if list(body.get("networks", {})) != ["default"] or body["networks"]["default"]:
        unknown.add("networks")
    if unknown:
        raise NotByHandError(f"cannot start {service} by hand: {', '.join(sorted(unknown))} is not done")


def _mount(model: dict[str, Any], said: dict[str, Any], number: int) -> Mount:
    if said["type"] not in ("bind", "volume"):
        raise NotByHandError(f"cannot mount {said['target']} by hand: {said['type']} is not done")
    source = said["source"]
    if said["type"] == "volume" and model["volumes"][source].get("x-corral", {}).get("each") == "replica":
        source = f"{source}-{number}"
    return Mount(source, said["target"], said.get("read_only", False), said["type"] == "volume")


def _probe(check: dict[str, Any] | None) -> list[str]:
    if not check:
        return []
    kind, *words = check["test"]
    return ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words


def _indexed(text: str, number: int) -> str:
    return re.sub(r"\{index([+-]\d+)?\}", lambda match: str(number + int(match[1] or 0)), text)
