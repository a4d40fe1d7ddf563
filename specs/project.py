"""A project: what the user wrote, validated, canonical, frozen."""

from typing import Literal

import pydantic

from specs import strict
from specs.content import Content
from specs.network import Network
from specs.service import Service
from specs.volume import Volume


class OnlyOurs(strict.Model):
    """What only corral knows of a project, beside what its services were given. `memory`: see `specs.memory`."""

    memory: Literal["guaranteed"] | None = None


class Project(strict.Model):
    """All services that are active (by their profiles), and what they use of networks, volumes, configs and secrets, by the
    file's keys."""

    name: str
    services: dict[str, Service] = pydantic.Field(default_factory=dict)
    networks: dict[str, Network] = pydantic.Field(default_factory=dict)
    volumes: dict[str, Volume] = pydantic.Field(default_factory=dict)
    configs: dict[str, Content] = pydantic.Field(default_factory=dict)
    secrets: dict[str, Content] = pydantic.Field(default_factory=dict)
    x_corral: OnlyOurs = pydantic.Field(OnlyOurs(), alias="x-corral")
