"""Which of its networks carries a service's default route and its published ports, and in which order it joins them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.types.configs import NetworkConfig
from specs.canonical import bridge_options
from specs.checks import endpoints
from specs.model.network import Network
from specs.model.project import Project
from specs.model.service import Service

Made = Mapping[str, NetworkConfig]
"""Networks that others made, by full name."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a network decides: `host_ip` is where its ports are published unless they say so."""

    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    host_ip: str = ""
    interface_prefix: str = "eth"


def facts_of(network: Network, made: Made) -> Facts:
    if network.external:
        config = made.get(network.name)
        if config is None:
            return Facts()
        return Facts(
            bool(config.subnet), bool(config.subnet6), config.internal, config.host_ip, config.interface_prefix
        )
    options = bridge_options.parse(network.driver_opts)
    return Facts(network.enable_ipv4, network.enable_ipv6, network.internal, options.host_ip, options.interface_prefix)


def primary_of(project: Project, service: Service, made: Made, *, ipv6: bool = False) -> str:
    """The network that carries the default route of one family: of those that lead outside, the one with the highest
    gw_priority, then the first by name; "": none does."""

    def leads_outside(key: str) -> bool:
        facts = facts_of(project.networks[key], made)
        return not facts.internal and (facts.ipv6 if ipv6 else facts.ipv4)

    keys = [key for key in service.networks if leads_outside(key)]
    return min(keys, key=lambda key: (-service.networks[key].gw_priority, key), default="")


def likely_interfaces(project: Project, service: Service, made: Made) -> dict[str, str]:
    """The name of the interface in each network where nothing else has it: in the order of joining, past the names that the file
    asks for."""
    taken = {endpoints.interface_of(joined) for joined in service.networks.values()}
    found = {}
    for key in endpoints.by_priority(service):
        if endpoints.interface_of(service.networks[key]):
            continue
        prefix = facts_of(project.networks[key], made).interface_prefix
        name = next(name for number in range(len(taken) + 1) if (name := f"{prefix}{number}") not in taken)
        taken.add(name)
        found[key] = name
    return found
