"""Who is called what, as texts: the tables of the dns process, /etc/hosts and /etc/resolv.conf of a sandbox. Pure.

One table a network; what the dns process makes of it is told in `engine.dns.tables`:

    {"network": "lab_default", "project": "lab", "gateways": ["10.10.0.1"], "subnets": ["10.10.0.0/24"], "internal": false,
     "members": [{"addresses": ["10.10.0.2"], "project": "lab", "sandbox": "web", "fqdn": "web.lab", "names": ["web"],
                  "domains": ["lab"], "links": {"db": ["postgres"]}, "aliases": {"theirs": "other-db-1"}, "servers": []}]}
"""

import json
import urllib.parse
from collections.abc import Iterable, Sequence

from engine.types.configs import EndpointConfig, NetworkConfig, NetworkMode, SandboxConfig

LOCAL_HOSTS = "127.0.0.1\tlocalhost\n"
LOCAL_HOSTS6 = "::1\tlocalhost ip6-localhost ip6-loopback\n"
OPTIONS = ("ndots:0",)
"""A name is first asked for as it stands: one question for every name, with or without dots."""


def file_name(network_name: str) -> str:
    """The name of a network's table."""
    return urllib.parse.quote(network_name, safe="") + ".json"


def tables(
    endpoints: Iterable[EndpointConfig], sandboxes: Iterable[SandboxConfig], networks: Iterable[NetworkConfig]
) -> dict[str, str]:
    """Write the table of each network, by file name. An endpoint whose sandbox is not given gets no links and our servers."""
    sandbox_of = {(sandbox.project, sandbox.name): sandbox for sandbox in sandboxes}
    members: dict[str, list[EndpointConfig]] = {}
    for endpoint in endpoints:
        members.setdefault(endpoint.network, []).append(endpoint)
    return {
        file_name(network.name): _table(
            network,
            [
                _member(endpoint, sandbox_of.get((endpoint.project, endpoint.sandbox)))
                for endpoint in sorted(members.get(network.name, ()), key=lambda each: (each.project, each.sandbox))
            ],
        )
        for network in networks
    }


def domains_of(sandbox: SandboxConfig) -> tuple[str, ...]:
    """The domains in which a sandbox's names stand: its project's, also as `_` makes it a host name, and its own."""
    project = sandbox.project
    return tuple(dict.fromkeys(name for name in (project.replace("_", "-"), project, sandbox.domainname) if name))


def hosts_file(sandbox: SandboxConfig, endpoints: Sequence[EndpointConfig]) -> str:
    """Write /etc/hosts: itself at each of its addresses (the FQDN first, so that it is what the address is called), then what
    the spec adds. Empty for the machine's own network: the machine's file, with additions from `extra_hosts_lines`."""
    lines = [LOCAL_HOSTS, *([LOCAL_HOSTS6] if any(endpoint.address6 for endpoint in endpoints) else [])]
    for endpoint in sorted(endpoints, key=lambda each: (not each.primary, each.network)):
        for address in addresses_of(endpoint):
            lines.append(f"{address}\t{' '.join(_own_names(sandbox, endpoint))}\n")
    if not endpoints and sandbox.hostname and sandbox.mode is not NetworkMode.HOST:
        lines.append(f"127.0.1.1\t{' '.join(dict.fromkeys((_fqdn(sandbox), sandbox.hostname)))}\n")
    return "".join(lines) + extra_hosts_lines(sandbox)


def addresses_of(endpoint: EndpointConfig) -> tuple[str, ...]:
    """Its addresses, of IPv4 first."""
    return tuple(address for address in (endpoint.address, endpoint.address6) if address)


def server_of(endpoints: Sequence[EndpointConfig]) -> str | None:
    """Where a sandbox with these endpoints asks for names: at the gateway through which it goes out, by IPv4 if it can; None: it
    is in no network."""
    asked = [(each.primary, each.gateway) for each in endpoints] + [
        (each.primary6, each.gateway6) for each in endpoints
    ]
    gateways = [gateway for is_primary, gateway in sorted(asked, key=lambda each: not each[0]) if gateway]
    return gateways[0] if gateways else None


def extra_hosts_lines(sandbox: SandboxConfig) -> str:
    return "".join(f"{address}\t{name}\n" for name, address in sandbox.extra_hosts)


def machine_hosts_file(sandbox: SandboxConfig, machine: str) -> str:
    """Write /etc/hosts of a sandbox in the machine's own network: the machine's, and what the spec adds."""
    separator = "" if machine.endswith("\n") or not machine else "\n"
    return machine + separator + extra_hosts_lines(sandbox)


def resolv_conf(sandbox: SandboxConfig, gateway: str | None, machine: str) -> str:
    """Write /etc/resolv.conf. `gateway`: of the sandbox's primary endpoint, where our dns process answers (servers of the spec
    are asked by it); None: it is in no network. `machine`: the machine's file, which holds in the machine's own network where
    the spec does not say otherwise."""
    if sandbox.mode is NetworkMode.HOST:
        return _machine_resolv_conf(sandbox, machine)
    if gateway is None:
        return ""
    search = sandbox.dns_search or (sandbox.domainname or sandbox.project.replace("_", "-"),)
    return _text([gateway], search, _options(sandbox.dns_options))


def _machine_resolv_conf(sandbox: SandboxConfig, machine: str) -> str:
    if not (sandbox.dns_servers or sandbox.dns_search or sandbox.dns_options):
        return machine
    words = [line.split() for line in machine.splitlines()]
    servers = [line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1]
    search = next((line[1:] for line in reversed(words) if line[:1] in (["search"], ["domain"])), [])
    options = [option for line in words if line[:1] == ["options"] for option in line[1:]]
    return _text(sandbox.dns_servers or servers, sandbox.dns_search or search, sandbox.dns_options or tuple(options))


def _text(servers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> str:
    lines = [f"nameserver {server}\n" for server in servers]
    wanted = [domain for domain in search if domain != "."]  # docker: a single "." means no search at all
    if wanted:
        lines.append(f"search {' '.join(wanted)}\n")
    if options:
        lines.append(f"options {' '.join(options)}\n")
    return "".join(lines)


def _options(asked: Sequence[str]) -> tuple[str, ...]:
    given = {option.partition(":")[0] for option in asked}
    return (*asked, *(option for option in OPTIONS if option.partition(":")[0] not in given))


def _fqdn(sandbox: SandboxConfig) -> str:
    return f"{sandbox.hostname}.{sandbox.domainname}" if sandbox.domainname else sandbox.hostname


def _own_names(sandbox: SandboxConfig, endpoint: EndpointConfig) -> list[str]:
    return [name for name in dict.fromkeys((endpoint.fqdn, sandbox.hostname)) if name]


def _table(network: NetworkConfig, members: list[dict[str, object]]) -> str:
    """One line a member. (`indent` would cost ten times as much: json has no fast way to it.)"""
    head = {
        "network": network.name,
        "project": network.project,
        "gateways": [gateway for gateway in (network.gateway, network.gateway6) if gateway],
        "subnets": [subnet for subnet in (network.subnet, network.subnet6) if subnet],
        "internal": network.internal,
    }
    lines = ",\n ".join(json.dumps(member, ensure_ascii=False) for member in members)
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "members": [\n {lines}\n]}}\n'


def _member(endpoint: EndpointConfig, sandbox: SandboxConfig | None) -> dict[str, object]:
    stands_in = sandbox or SandboxConfig(endpoint.sandbox, endpoint.project)
    return {
        "addresses": addresses_of(endpoint),
        "project": endpoint.project,
        "sandbox": endpoint.sandbox,
        "fqdn": endpoint.fqdn,
        "names": list(endpoint.names),
        "domains": list(domains_of(stands_in)),
        "links": _linked(stands_in),
        "aliases": dict(stands_in.external_links),
        "servers": list(stands_in.dns_servers),
    }


def _linked(sandbox: SandboxConfig) -> dict[str, list[str]]:
    """Every sandbox that an alias leads to: of a service, all its containers'."""
    found: dict[str, list[str]] = {}
    for alias, target in sandbox.links:
        found.setdefault(alias, []).append(target)
    return found
