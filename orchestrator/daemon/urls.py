"""Where a browser on this machine finds the pages of a project's containers (`x-corral.pages`). Pure.

http://namenode.lab:9870/      where this machine has the project's names (`corral hosts`): links between pages work
http://localhost:49003/        else where the port is published
http://10.20.0.2:9870/         else at the container's own address, which this machine always reaches
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.types.configs import NetworkMode
from engine.types.infos import ContainerInfo, EndpointInfo, Look, State
from orchestrator import phrases
from orchestrator.daemon import listing
from specs.canonical import pages

EVERYWHERE = ("", "0.0.0.0", "::")

Shown = dict[str, str]
"""One page: `Replica` (what the container's slot is called), `Title` and `URL`."""


def of_look(look: Look, canonical: Mapping[str, Any], *, named: bool) -> dict[str, list[Shown]]:
    """The pages of each container that runs, by uid, in the order of the file. `canonical`: the document that says which;
    `named`: this machine has the project's names."""
    services = canonical.get("services", {})
    found: dict[str, list[Shown]] = {}
    for info in look.containers:
        said = services.get(info.config.service, {}).get("x-corral", {}).get("pages", {})
        if said and info.state is State.RUNNING and info.config.number != listing.STEP:
            found[info.uid] = list(_pages(info, look, said, named=named))
    return found


def _pages(info: ContainerInfo, look: Look, said: Mapping[str, str], *, named: bool) -> Iterator[Shown]:
    for title, text in said.items():
        page = pages.parse(text)
        if authority := _authority(info, look, page.port, named=named):
            yield {"Replica": info.config.slot, "Title": title, "URL": f"http://{authority}/{page.path}"}


def _authority(info: ContainerInfo, look: Look, port: int, *, named: bool) -> str:
    """HOST:PORT; "" where nothing leads there."""
    sandbox = info.config.sandbox
    endpoints = endpoints_of(sandbox, look.endpoints)
    if named and endpoints and endpoints[0].config.fqdn:
        return f"{endpoints[0].config.fqdn}:{port}"
    if any(each.config.name == sandbox and each.config.mode is NetworkMode.HOST for each in look.sandboxes):
        return f"localhost:{port}"
    if published := _published(sandbox, look.containers, port):
        return published
    addresses = [each.config.address or each.config.address6 for each in endpoints]
    return f"{phrases.bracketed(addresses[0])}:{port}" if addresses else ""


def endpoints_of(sandbox: str, endpoints: Iterable[EndpointInfo]) -> list[EndpointInfo]:
    """Of one sandbox, the one that leads outside first."""
    joined = [each for each in endpoints if each.config.sandbox == sandbox]
    return sorted(joined, key=lambda each: (not each.config.primary, each.config.network))


def _published(sandbox: str, containers: Iterable[ContainerInfo], port: int) -> str:
    """By whichever container of the sandbox: its network is one."""
    for info in containers:
        for each in info.config.ports if info.config.sandbox == sandbox and info.state is State.RUNNING else ():
            if (each.container_port, each.protocol) == (port, "tcp"):
                host = "localhost" if each.host_ip in EVERYWHERE else phrases.bracketed(each.host_ip)
                return f"{host}:{each.host_port}"
    return ""
