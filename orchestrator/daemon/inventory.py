"""The networks and volumes of all projects, and of none: whose each is, who declares it, who uses it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from engine.types.configs import NetworkConfig, VolumeConfig
from engine.types.infos import ContainerInfo, EndpointInfo, NetworkInfo, VolumeInfo
from engine.types.parts import VolumeMount
from orchestrator import errors
from orchestrator.daemon.projects import Projects
from reconciler.resource import Resource
from reconciler.stored import MACHINE

PREFIX_MIN = 4
"""So many digits of an id are enough, where only one begins so."""


class Row(NamedTuple):
    """`project`: "" for what a command made. `declared_by`: the projects whose files name it. `used_by`: the names of the
    containers that have it. `is_shared`: a command made it and nobody has taken it away. `is_left`: a volume that is declared for
    each replica, of one that is gone."""

    info: NetworkInfo | VolumeInfo
    project: str
    declared_by: tuple[str, ...]
    used_by: tuple[str, ...]
    is_shared: bool
    members: tuple[tuple[ContainerInfo, EndpointInfo], ...] = ()
    is_left: bool = False

    @property
    def config(self) -> NetworkConfig | VolumeConfig:
        return self.info.config


async def rows(projects: Projects, section: str) -> list[Row]:
    """All of "networks" or "volumes", by name."""
    looks = [await projects.engine.look(kept.name) for kept in projects.keepers()]
    every = await projects.engine.look(MACHINE)
    containers = [info for look in looks for info in look.containers]
    endpoints = [info for look in looks for info in look.endpoints]
    shared = projects.machine().stored.canonical()[section]
    wanted = {want.config.name for want in _wanted(projects) if isinstance(want.config, VolumeConfig)}
    found: list[Row] = []
    for info in every.networks if section == "networks" else every.volumes:
        name = info.config.name
        members = tuple(_members(info, containers, endpoints))
        users = [container for container, _ in members] if section == "networks" else _mounting(name, containers)
        found.append(
            Row(
                info,
                "" if info.config.project == MACHINE else info.config.project,
                tuple(sorted(_declaring(projects, section, name))),
                tuple(sorted({user.config.name for user in users})),
                name in shared,
                members,
                section == "volumes" and name not in wanted and _is_of_a_replica(projects, name),
            )
        )
    return sorted(found, key=lambda row: row.config.name)


def chosen(found: Iterable[Row], what: str, text: str) -> Row:
    """The one with this name, or whose id begins so. Raises NotFound."""
    found = list(found)
    by_name = [row for row in found if row.config.name == text]
    by_id = [row for row in found if len(text) >= PREFIX_MIN and row.info.uid.startswith(text)]
    if by_name or len(by_id) == 1:
        return (by_name or by_id)[0]
    if by_id:
        raise errors.Refused(f"{text} is the beginning of {len(by_id)} ids", hint="give more of it, or the name")
    raise errors.NotFound(f"no {what} is called {text}", hint=f"`corral {what} ls` lists them")


async def network_named(projects: Projects, text: str, project: str) -> str:
    """The full name of a network that is there, by name or id, or as this project calls it. Raises NotFound."""
    found = await rows(projects, "networks")
    for row in found:
        if (row.config.project, row.config.key) == (project, text):
            return row.config.name
    return chosen(found, "network", text).config.name


def _declaring(projects: Projects, section: str, name: str) -> Iterable[str]:
    for kept in projects.keepers():
        if any(_is_called(each, name) for each in kept.stored.canonical()[section].values()):
            yield kept.name


def _is_of_a_replica(projects: Projects, name: str) -> bool:
    declared = (each for kept in projects.keepers() for each in kept.stored.canonical()["volumes"].values())
    return any(_is_called(each, name) and each.get("name") != name for each in declared)


def _wanted(projects: Projects) -> Iterable[Resource]:
    return (want for kept in projects.keepers() for want in kept.loop.desired.wanted.values())


def _is_called(said: Mapping[str, Any], name: str) -> bool:
    """A volume that each replica has for itself stands for those of all replicas, also of those that are gone."""
    own = str(said.get("name"))
    is_each = bool((said.get("x-corral") or {}).get("each"))
    return name == own if not is_each else name.startswith(f"{own}-") and name.removeprefix(f"{own}-").isdecimal()


def _members(
    info: NetworkInfo | VolumeInfo, containers: Iterable[ContainerInfo], endpoints: Iterable[EndpointInfo]
) -> Iterable[tuple[ContainerInfo, EndpointInfo]]:
    slots = {(each.config.project, each.config.sandbox): each for each in containers}
    for endpoint in endpoints:
        key = endpoint.config.project, endpoint.config.sandbox
        if endpoint.network_uid == info.uid and key in slots:
            yield slots[key], endpoint


def _mounting(volume: str, containers: Iterable[ContainerInfo]) -> list[ContainerInfo]:
    return [
        each
        for each in containers
        if any(isinstance(mount, VolumeMount) and mount.volume == volume for mount in each.config.mounts)
    ]


# ------------------------------------------------------------------------------------------------------------- as data


async def networks(projects: Projects) -> list[dict[str, Any]]:
    """As `docker network inspect` says it, with `Project` and `DeclaredBy` beside."""
    found = []
    for row in await rows(projects, "networks"):
        assert isinstance(row.config, NetworkConfig)
        config = row.config
        found.append(
            {
                "Name": config.name,
                "Id": row.info.uid,
                "Scope": "local",
                "Driver": "bridge",
                "EnableIPv4": bool(config.subnet),
                "EnableIPv6": bool(config.subnet6),
                "IPAM": {"Driver": "default", "Options": None, "Config": pools(config)},
                "Internal": config.internal,
                "Containers": {container.uid: member(container, endpoint) for container, endpoint in row.members},
                "Options": {"com.docker.network.driver.mtu": str(config.mtu)},
                "Labels": labels(row, "network"),
                "Project": row.project,
                "DeclaredBy": list(row.declared_by),
                "UsedBy": list(row.used_by),
            }
        )
    return found


async def volumes(projects: Projects) -> list[dict[str, Any]]:
    """As `docker volume inspect` says it, with `Project`, `DeclaredBy` and `UsedBy` beside."""
    return [
        {
            "Name": row.config.name,
            "Driver": "local",
            "Scope": "local",
            "Mountpoint": projects.engine.data_path(row.config.name),
            "Labels": labels(row, "volume"),
            "Options": None,
            "Project": row.project,
            "DeclaredBy": list(row.declared_by),
            "UsedBy": list(row.used_by),
        }
        for row in await rows(projects, "volumes")
    ]


def pools(config: NetworkConfig) -> list[dict[str, str]]:
    four = config.subnet, config.gateway, config.ip_range
    found = (four, (config.subnet6, config.gateway6, config.ip_range6))
    return [
        {"Subnet": subnet, "Gateway": gateway} | ({"IPRange": ip_range} if ip_range else {})
        for subnet, gateway, ip_range in found
        if subnet
    ]


def member(container: ContainerInfo, endpoint: EndpointInfo) -> dict[str, str]:
    config = endpoint.config
    return {
        "Name": container.config.name,
        "EndpointID": endpoint.uid,
        "IPv4Address": f"{config.address}/{config.prefix_length}" if config.address else "",
        "IPv6Address": f"{config.address6}/{config.prefix_length6}" if config.address6 else "",
    }


def labels(row: Row, kind: str) -> dict[str, str]:
    """The user's, and those that docker compose puts on what is a project's."""
    own = dict(row.config.labels)
    if not row.project:
        return own
    return own | {"com.docker.compose.project": row.project, f"com.docker.compose.{kind}": row.config.key}
