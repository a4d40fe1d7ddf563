"""A project: what the user wrote, validated, canonical, frozen."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import pydantic

from specs.errors import Path
from specs.model import strict
from specs.model.content import Content
from specs.model.network import Network
from specs.model.service import Service
from specs.model.volume import Volume


class Body(NamedTuple):
    """What runs of a service: `number` is that of the replica, 0 where all are alike. `path` leads to it in the document."""

    name: str
    service: Service
    path: Path
    number: int = 0


class OnlyOurs(strict.Model):
    """What only corral knows of a project, beside what its services were given. `memory`: see `memory`."""

    memory: Literal["guaranteed"] | None = None


class Project(strict.Model):
    """All services that are active (by their profiles), and what they use of networks, volumes, configs and secrets, by the
    file's keys. `all_resources`: networks and volumes that they do not use are wanted, too."""

    name: str
    services: dict[str, Service] = pydantic.Field(default_factory=dict)
    networks: dict[str, Network] = pydantic.Field(default_factory=dict)
    volumes: dict[str, Volume] = pydantic.Field(default_factory=dict)
    configs: dict[str, Content] = pydantic.Field(default_factory=dict)
    secrets: dict[str, Content] = pydantic.Field(default_factory=dict)
    all_resources: bool = False
    # a default would be copied deeply, each time
    x_corral: OnlyOurs = pydantic.Field(default_factory=OnlyOurs, alias="x-corral")

    def bodies(self) -> Iterator[Body]:
        """Every service; one whose replicas differ once for each of these, in place of itself."""
        for name in self.services:
            yield from self.bodies_of(name)

    def bodies_of(self, name: str) -> tuple[Body, ...]:
        service = self.services[name]
        return tuple(self.body(name, int(number)) for number in service.replicas) or (self.body(name, 1),)

    def body(self, name: str, number: int) -> Body:
        """What the replica with this number is. Raises KeyError where the replicas differ and nothing says it of this one."""
        service = self.services[name]
        if not service.replicas:
            return Body(name, service, ("services", name))
        return Body(name, service.replicas[str(number)], ("services", name, "replicas", str(number)), number)

    def replica(self, name: str, number: int) -> Service:
        return self.body(name, number).service
