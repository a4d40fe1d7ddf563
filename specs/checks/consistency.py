"""Whether the parts of a project fit together: what is named exists, nothing is said twice, nothing waits for itself."""

from collections.abc import Iterator

from specs.canonical import namespaces
from specs.composing import mounts
from specs.errors import Path, SpecError
from specs.model import content
from specs.model.project import Body, Project
from specs.model.service import Service, slot_names

ID_MAX = 2**32 - 2  # linux/uidgid.h: the last one is nobody's


def problems(project: Project) -> Iterator[SpecError]:
    """Every contradiction between parts of the project."""
    for name, service in project.services.items():
        yield from _dependencies(service, project, ("services", name))
    for _, service, path, number in project.bodies():
        yield from _references(service, project, path)
        yield from _network_mode(service, path)
        yield from _targets(service, path)
        yield from _replicas(service, path) if not number else ()
    for section, entries in (("networks", project.networks), ("volumes", project.volumes)):
        for key, resource in entries.items():
            given = resource.model_fields_set - {"name", "external"}
            if resource.external and given:
                message = f"{', '.join(sorted(given))} cannot be given for what is external: who made it has said it"
                yield SpecError((section, key), message)
    yield from _slots(project)
    yield from _container_names(project)
    yield from _cycles(project)


def _references(service: Service, project: Project, path: Path) -> Iterator[SpecError]:
    for network in service.networks:
        if network not in project.networks:
            yield SpecError((*path, "networks", network), f"there is no network {network}", hint=_add("networks"))
    for index, mount in enumerate(service.volumes):
        if mount.type == "volume" and mount.source and mount.source not in project.volumes:
            where = (*path, "volumes", index)
            yield SpecError(where, f"there is no volume {mount.source}", hint=_add("volumes"))
    for section, uses, declared in (
        ("configs", service.configs, project.configs),
        ("secrets", service.secrets, project.secrets),
    ):
        for index, use in enumerate(uses):
            where = (*path, section, index)
            if use.source not in declared:
                yield SpecError(where, f"there is no {section[:-1]} {use.source}", hint=_add(section))
            for key, text in (("uid", use.uid), ("gid", use.gid)):
                if not text.isdecimal() or int(text) > ID_MAX:
                    yield SpecError((*where, key), f"'{text}' is not a number of a user or group")
    for key, entries in (("links", service.links), ("volumes_from", service.volumes_from)):
        for index, text in enumerate(entries):
            is_container = key == "volumes_from" and namespaces.container_of(text)
            if not is_container and text.partition(":")[0] not in project.services:
                yield SpecError((*path, key, index), f"there is no service {text.partition(':')[0]}")


def _dependencies(service: Service, project: Project, path: Path) -> Iterator[SpecError]:
    for dependency, how in service.depends_on.items():
        where = (*path, "depends_on", dependency)
        if dependency not in project.services:
            if not how.implied:
                yield SpecError(where, f"there is no service {dependency}")
        elif how.condition == "service_healthy" and any(
            body.service.healthcheck is None for body in project.bodies_of(dependency)
        ):
            yield SpecError((*where, "condition"), f"{dependency} has no healthcheck, so it never is healthy")


def _network_mode(service: Service, path: Path) -> Iterator[SpecError]:
    if service.network_mode is not None and service.networks:
        yield SpecError((*path, "network_mode"), "cannot be given together with networks")
    if service.network_mode is not None and service.ports:
        yield SpecError((*path, "ports"), f"nothing can be mapped with network_mode {service.network_mode}")
    for key in ("links", "external_links"):
        if service.network_mode is not None and getattr(service, key):
            yield SpecError((*path, key), f"there are no links with network_mode {service.network_mode}")


def _targets(service: Service, path: Path) -> Iterator[SpecError]:
    taken: dict[str, str] = {}
    targets = [(("tmpfs", index), text.partition(":")[0]) for index, text in enumerate(service.tmpfs)]
    targets += [(("volumes", index), mount.target) for index, mount in enumerate(service.volumes)]
    for section, uses in (("configs", service.configs), ("secrets", service.secrets)):
        targets += [((section, index), content.target_of(section, use)) for index, use in enumerate(uses)]
    for (key, index), target in targets:
        cleaned = mounts.clean(target)
        if cleaned in taken:
            yield SpecError((*path, key, index), f"{cleaned} is mounted already, by {taken[cleaned]}")
        taken.setdefault(cleaned, f"{key}[{index}]")


def _replicas(service: Service, path: Path) -> Iterator[SpecError]:
    if service.scale is None or service.scale < 2:
        return
    if service.container_name is not None:
        message = f"'{service.container_name}' cannot be the name of {service.scale} containers"
        yield SpecError((*path, "container_name"), message, hint=f"scale is {service.scale}")
    for network, joined in service.networks.items():
        for key in ("ipv4_address", "ipv6_address", "mac_address"):
            if (address := getattr(joined, key)) is not None:
                message = f"{address} cannot be the address of {service.scale} containers"
                yield SpecError((*path, "networks", network, key), message, hint=f"scale is {service.scale}")
    for index, port in enumerate(service.ports):
        available = port.published_range()
        if available is not None and available[1] - available[0] + 1 < service.scale:
            message = f"host port {port.published} cannot be that of {service.scale} containers"
            hint = f"give a range of at least {service.scale}, or no host port"
            yield SpecError((*path, "ports", index), message, hint=hint)


def _slots(project: Project) -> Iterator[SpecError]:
    """Services whose slots (NAME, or NAME-1 … with a scale) are called alike."""
    owners = {name: name for name, service in project.services.items() if service.scale is None}
    for name, service in project.services.items():
        for slot in slot_names(name, service.scale) if service.scale is not None else ():
            owner = owners.setdefault(slot, name)
            if owner != name:
                yield SpecError(("services", owner), f"'{slot}' is also what a replica of the service {name} is called")


def _container_names(project: Project) -> Iterator[SpecError]:
    taken: dict[str, Body] = {}
    for name, service in project.services.items():
        for number in range(1, (1 if service.scale is None else service.scale) + 1):
            body = project.body(name, number)
            given = body.service.container_name
            container = given or f"{project.name}-{name}-{number}"
            if (other := taken.setdefault(container, body)).path != body.path:
                where = (*body.path, *(("container_name",) if given is not None else ()))
                owner = f"the service {other.name}" if other.name != name else f"replica {other.number}"
                hint = "write {index} in it" if other.name == name else ""
                yield SpecError(where, f"the container name '{container}' is that of {owner}", hint=hint)


def _cycles(project: Project) -> Iterator[SpecError]:
    """Each cycle of depends_on once, from its service that comes first in the file."""
    done: set[str] = set()
    for name in project.services:
        trail = _cycle(name, project, done) if name not in done else []
        if trail:
            where = ("services", trail[0], "depends_on", trail[1])
            yield SpecError(where, f"a cycle: {' → '.join(trail)}")


def _cycle(start: str, project: Project, done: set[str]) -> list[str]:
    """A cycle that can be reached from `start` through services that are not `done`; without recursion."""
    trail = [start]
    following = [iter(project.services[start].depends_on)]
    while following:
        name = next(following[-1], None)
        if name is None:
            done.add(trail.pop())
            following.pop()
        elif name in trail:
            done.update(trail)
            return [*trail[trail.index(name) :], name]
        elif name not in done and name in project.services:
            trail.append(name)
            following.append(iter(project.services[name].depends_on))
    return []


def _add(section: str) -> str:
    return f"declare it below the top's {section}"
