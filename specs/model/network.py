"""A network of a project, canonical."""

import pydantic

from specs.model import strict


class Pool(strict.Model):
    """Where addresses come from: `subnet`, `ip_range` in CIDR notation, `gateway` an address. None: ours to choose.
    `aux_addresses` are given to nobody."""

    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None
    aux_addresses: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def is_ipv6(self) -> bool:
        """By whatever of it is given first."""
        given = (self.subnet, self.gateway, self.ip_range, *self.aux_addresses.values())
        return ":" in next((text for text in given if text), "")


class Ipam(strict.Model):
    """`driver` is "default". At most one pool of each family."""

    driver: str = "default"
    config: tuple[Pool, ...] = ()


class Network(strict.Model):
    """`name` is the full name, unique in this corral. `external`: made by another project, only joined here. `attachable`
    changes nothing: others may always join. `driver_opts`: see `bridge_options`."""

    name: str
    driver: str = "bridge"
    driver_opts: dict[str, str] = pydantic.Field(default_factory=dict)
    external: bool = False
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam: Ipam = Ipam()
    labels: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def pool(self) -> Pool:
        """The network's pool of IPv4; an empty one where the file gives none."""
        return next((pool for pool in self.ipam.config if not pool.is_ipv6), Pool())

    @property
    def pool6(self) -> Pool:
        """The same of IPv6."""
        return next((pool for pool in self.ipam.config if pool.is_ipv6), Pool())

    @property
    def stands_for(self) -> str | None:
        """The network mode that joining it means: "host" and "none" are no networks of their own."""
        if self.external and self.name in MODES:
            return self.name
        return self.driver if self.driver in MODES else None


MODES = ("host", "none")
