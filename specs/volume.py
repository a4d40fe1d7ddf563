"""A volume of a project, canonical."""

import pydantic

from specs import strict


class Volume(strict.Model):
    """`name` is the full name, unique in this corral. `external`: it must exist already and is never made by us."""

    name: str
    driver: str = "local"
    external: bool = False
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
