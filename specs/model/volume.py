"""A volume of a project, canonical."""

from typing import Literal

import pydantic

from specs.model import strict


class OnlyOurs(strict.Model):
    """What only corral knows of a volume."""

    each: Literal["replica"] | None = None


class Volume(strict.Model):
    """`name` is the full name, unique in this corral. `external`: it must exist already and is never made by us. `driver_opts`:
    see `volume_options`. Of one that is `of_each_replica` there is one for each replica of the services that mount it."""

    name: str
    driver: str = "local"
    driver_opts: dict[str, str] = pydantic.Field(default_factory=dict)
    external: bool = False
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
    # a default would be copied deeply, each time
    x_corral: OnlyOurs = pydantic.Field(default_factory=OnlyOurs, alias="x-corral")

    @property
    def of_each_replica(self) -> bool:
        return self.x_corral.each is not None

    def name_for(self, number: int) -> str:
        """The full name of what the replica with this number has."""
        return f"{self.name}-{number}" if self.of_each_replica else self.name
