"""A network of a project, canonical."""

import pydantic

from specs import strict


class Pool(strict.Model):
    """Where addresses come from: `subnet`, `ip_range` in CIDR notation, `gateway` an address. None: ours to choose."""

    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None


class Ipam(strict.Model):
    """`driver` is "default". At most one pool of IPv4."""

    driver: str = "default"
    config: tuple[Pool, ...] = ()


class Network(strict.Model):
    """`name` is the full name, unique in this corral. `external`: made by another project, only joined here."""

    name: str
    driver: str = "bridge"
    external: bool = False
    internal: bool = False
    ipam: Ipam = Ipam()
    labels: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def pool(self) -> Pool:
        """The network's pool; an empty one where the file gives none."""
        return self.ipam.config[0] if self.ipam.config else Pool()
