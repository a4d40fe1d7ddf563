"""A volume of a project, canonical."""

import pydantic

from specs import strict


class Volume(strict.Model):
    """`name` is the full name, unique in this corral. `external`: it must exist already and is never made by us. `driver_opts`:
    see `specs.volume_options`."""

    name: str
    driver: str = "local"
    driver_opts: dict[str, str] = pydantic.Field(default_factory=dict)
    external: bool = False
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
