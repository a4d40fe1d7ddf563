"""What a slot is called: its host name, its domain, and every name by which the others of a network find it.

Host name and domain keep to the alphabet of DNS: an `_` of service or project becomes `-`. The forms with `_`
resolve too. A host name that the user gives is kept as it is."""

from dataclasses import dataclass

from reconciler.slots import Slot
from specs.model.service import Service, ServiceNetwork


@dataclass(frozen=True, slots=True)
class Called:
    """`fqdn` is what the node calls itself, and what its addresses resolve back to."""

    hostname: str
    domainname: str

    @property
    def fqdn(self) -> str:
        return f"{self.hostname}.{self.domainname}" if self.domainname else self.hostname


def for_dns(text: str) -> str:
    return text.replace("_", "-")


def of_slot(project_name: str, slot: Slot, service: Service) -> Called:
    """On the machine's own network a node keeps the machine's name, unless it is given one. A host name with a dot
    in it is a whole FQDN already."""
    if service.network_mode == "host" and not service.hostname:
        return Called("", "")
    hostname = service.hostname or for_dns(slot.name)
    if service.domainname or "." in hostname:
        return Called(hostname, service.domainname or "")
    return Called(hostname, for_dns(project_name))


def container_name(project_name: str, slot: Slot, service: Service) -> str:
    """As given, else PROJECT-SERVICE-N."""
    return service.container_name or f"{project_name}-{slot.service}-{slot.number}"


def names_on(network: ServiceNetwork, project_name: str, slot: Slot, service: Service) -> tuple[str, ...]:
    """Every name of a slot on one network, sorted."""
    called = of_slot(project_name, slot, service)
    own = {slot.name, slot.service}
    domains = {project_name, for_dns(project_name), called.domainname} - {""}
    qualified = {f"{name}.{domain}" for name in own | {for_dns(name) for name in own} for domain in domains}
    dashed = {for_dns(name) for name in own}
    given = {*network.aliases, container_name(project_name, slot, service), called.hostname, called.fqdn}
    return tuple(sorted((own | dashed | qualified | given) - {""}))
