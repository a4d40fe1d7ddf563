"""What this machine itself is to call the containers of a project: pure.

Whole names only: the one that a container calls itself, and those in the domain of its project. A name of one word could be
anybody's on this machine.

    10.20.0.2	namenode.lab namenode-1.lab
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.dns.names import addresses_of
from engine.types.configs import EndpointConfig


@dataclass(frozen=True, slots=True)
class Line:
    """An address, and what it is called; the name that it is to be shown by comes first."""

    address: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.address}\t{' '.join(self.names)}"


def domains_of(project: str) -> tuple[str, ...]:
    """The domain in which a project's names stand; also as it is written, where `_` makes that no host name."""
    return tuple(dict.fromkeys((project.replace("_", "-"), project)))


def lines_of(project: str, endpoints: Iterable[EndpointConfig]) -> tuple[Line, ...]:
    """One line an address: of each sandbox, the address first by which it goes out."""
    mine = [endpoint for endpoint in endpoints if endpoint.project == project]
    mine.sort(key=lambda each: (each.sandbox, not (each.primary or each.primary6), each.network))
    named = ((endpoint, names_of(project, endpoint)) for endpoint in mine)
    return tuple(Line(address, names) for endpoint, names in named if names for address in addresses_of(endpoint))


def names_of(project: str, endpoint: EndpointConfig) -> tuple[str, ...]:
    """The whole names of one endpoint, the one that it calls itself first."""
    domains = tuple(f".{domain}" for domain in domains_of(project))
    own = (endpoint.fqdn,) if "." in endpoint.fqdn else ()
    return tuple(dict.fromkeys((*own, *(name for name in endpoint.names if name.lower().endswith(domains)))))


def elsewhere(project: str, lines: Iterable[Line]) -> Iterator[str]:
    """Names in no domain of the project's: a host name with a domain that the file gives."""
    domains = tuple(f".{domain}" for domain in domains_of(project))
    found = (name for line in lines for name in line.names if not name.lower().endswith(domains))
    yield from dict.fromkeys(found)
