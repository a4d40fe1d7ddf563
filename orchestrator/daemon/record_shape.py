"""What the record of a project looks like: the border at which a file in the state folder becomes a `Stored`.

A field that is not known here is of a newer corral, or somebody's own, and passes: `Stored.from_json` takes what it knows. What
is known must be of its type, and within what a machine can bear, before anybody computes with it.
"""

import ipaddress
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, Field

from reconciler import slots
from reconciler.kinds import catalogue
from reconciler.resource import Depth, Gates, Needs


def _resource_id(text: str) -> str:
    if text.partition(":")[0] not in catalogue.KINDS or ":" not in text:
        raise ValueError(f"{text!r:.40} is no id of a resource")
    return text


def _subnet(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


def _member_of(words: Any) -> AfterValidator:
    def check(text: str) -> str:
        if text not in words.__members__:
            raise ValueError(f"{text!r:.40} is none of {', '.join(words.__members__)}")
        return text

    return AfterValidator(check)


ResourceId = Annotated[str, AfterValidator(_resource_id)]
Edge = tuple[
    ResourceId,
    Annotated[str, _member_of(Needs)],
    Annotated[str, _member_of(Gates)],
    Annotated[str, _member_of(Depth)],
    bool,
]
Time = Annotated[float, Field(ge=0, lt=1e12)]
Replicas = Annotated[int, Field(ge=0, le=slots.REPLICAS_MAX)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Part(pydantic.BaseModel):
    files: list[str]
    canonical: dict[str, Any]


class OneOff(pydantic.BaseModel):
    service: str
    body: dict[str, Any]
    uses: dict[str, dict[str, Any]]
    may_start: bool
    brief: bool
    heard: bool


class Overlay(pydantic.BaseModel):
    scale: dict[str, Replicas]
    stopped: list[str]
    nonce: dict[str, int]
    paused: list[str] = []
    updates: dict[str, dict[str, Any]] = {}
    connections: dict[str, dict[str, Any]] = {}
    hosts: bool = False
    runs: dict[str, OneOff] = {}


class Leases(pydantic.BaseModel):
    subnets: dict[str, Annotated[str, AfterValidator(_subnet)]]
    addresses: dict[ResourceId, Annotated[str, AfterValidator(_address)]]
    ports: dict[str, Port]
    subnets6: dict[str, Annotated[str, AfterValidator(_subnet)]] = {}
    addresses6: dict[ResourceId, Annotated[str, AfterValidator(_address)]] = {}
    ids: dict[str, Annotated[int, Field(ge=0, lt=1 << 32)]] = {}
    volumes: dict[str, str] = {}


class Project(pydantic.BaseModel):
    name: str
    parts: list[Part]
    overlay: Overlay
    asked: dict[str, Time]
    leases: Leases
    edges: dict[ResourceId, list[Edge]]
    purge: bool
    purged: list[str] = []


class Record(pydantic.BaseModel):
    """Raises pydantic.ValidationError for what is none."""

    format: int
    project: Project
