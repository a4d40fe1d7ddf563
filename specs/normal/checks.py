"""Whether the parts of a project in Compose's normal form fit together (compose-go loader/validate.go)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from specs.canonical import contents
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node, place_of

Json = dict[str, Any]


def check(document: Json, disabled: Mapping[str, Json], root: Node, findings: Findings) -> None:
    """What contradicts itself is an error, where it was written."""
    for path, message in _problems(document, disabled, root):
        findings.error_at(place_of(root, path), path, message)


def _problems(document: Json, disabled: Mapping[str, Json], root: Node) -> Iterator[tuple[Path, str]]:
    for name, service in document["services"].items():
        path: Path = ("services", name)
        if not service.get("image") and not service.get("build") and not service.get("provider"):
            yield path, "a service needs an image, or something to build"
        yield from _build(service, path, document)
        yield from _references(service, path, document, disabled)
        yield from _healthcheck(service.get("healthcheck") or {}, (*path, "healthcheck"))
        yield from _limits(service, path, root)
        yield from _watch(service, path)
        yield from _devices(service, path)
        yield from _targets(service, path)
    yield from _container_names(document)
    yield from _resources(document, root)
    yield from _cycles(document["services"])


def _build(service: Json, path: Path, document: Json) -> Iterator[tuple[Path, str]]:
    build = service.get("build")
    if not build:
        return
    if build.get("dockerfile_inline") and build.get("dockerfile"):
        yield (*path, "build"), "has both dockerfile and dockerfile_inline"
    platform = service.get("platform")
    if platform and build.get("platforms") and platform not in build["platforms"]:
        yield (*path, "build", "platforms"), f"must have the service's platform '{platform}'"
    for key, value in build.get("additional_contexts", {}).items():
        other = str(value).removeprefix("service:")
        if other != value and other not in document["services"]:
            yield (*path, "build", "additional_contexts", key), f"there is no service {other}"
        elif other != value and not document["services"][other].get("build"):
            yield (*path, "build", "additional_contexts", key), f"the service {other} is not built"
    for index, use in enumerate(build.get("secrets", ())):
        if use.get("source") not in document["secrets"]:
            yield (*path, "build", "secrets", index), f"there is no secret {use.get('source')}"


def _references(service: Json, path: Path, document: Json, disabled: Mapping[str, Json]) -> Iterator[tuple[Path, str]]:
    if service.get("network_mode") and service.get("networks"):
        yield (*path, "network_mode"), "cannot be given together with networks"
    for network in service.get("networks") or ():
        if network not in document["networks"]:
            yield (*path, "networks", network), f"there is no network {network}"
    for index, mount in enumerate(service.get("volumes", ())):
        source = mount.get("source", "")
        if mount.get("type") == "bind" and not source:
            yield (*path, "volumes", index), "a bind needs a source"
        if mount.get("type") == "volume" and source and source not in document["volumes"]:
            yield (*path, "volumes", index), f"there is no volume {source}"
    for section in ("configs", "secrets"):
        for index, use in enumerate(service.get(section, ())):
            if use.get("source") not in document[section]:
                yield (*path, section, index), f"there is no {section[:-1]} {use.get('source')}"
    for model in service.get("models", ()):
        if model not in document["models"]:
            yield (*path, "models", model), f"there is no model {model}"
    for other, how in (service.get("depends_on") or {}).items():
        if other in disabled and how.get("required", True):
            profiles = disabled[other].get("profiles", ["?"])
            yield (*path, "depends_on", other), f"{other} is not active, it is of profile {' or '.join(profiles)}"
        elif other not in disabled and other not in document["services"]:
            yield (*path, "depends_on", other), f"there is no service {other}"


def _healthcheck(check_: Json, path: Path) -> Iterator[tuple[Path, str]]:
    test = check_.get("test")
    if test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        yield (*path, "test"), 'must begin with "CMD", "CMD-SHELL" or "NONE"'


_SAME = (
    ("cpus", ("limits", "cpus")),
    ("mem_limit", ("limits", "memory")),
    ("mem_reservation", ("reservations", "memory")),
    ("pids_limit", ("limits", "pids")),
)


def _limits(service: Json, path: Path, root: Node) -> Iterator[tuple[Path, str]]:
    """What can be said in two places is the same in both; where there is the second place, it is said there."""
    deploy = service.get("deploy") or {}
    for key, (section, limit) in _SAME:
        own, name = service.get(key), f"deploy.resources.{section}.{limit}"
        if own and root.get("services", str(path[1]), "deploy", "resources", section) is not None:
            other = ((deploy.get("resources") or {}).get(section) or {}).get(limit)
            if own != other:
                yield (*path, key), f"{key} is {own}, but {name} is {'not set' if other is None else other}"
    scale, replicas = service.get("scale"), deploy.get("replicas")
    if scale is not None and replicas is not None and scale != replicas:
        yield (*path, "scale"), f"scale is {scale}, but deploy.replicas is {replicas}"
    if isinstance(scale, int) and scale < 0:
        yield (*path, "scale"), f"{scale} is less than 0"


def _watch(service: Json, path: Path) -> Iterator[tuple[Path, str]]:
    for index, rule in enumerate((service.get("develop") or {}).get("watch", ())):
        if rule.get("action") not in ("rebuild", "restart") and not rule.get("target"):
            yield (*path, "develop", "watch", index), f"{rule.get('action')} needs a target"


def _devices(service: Json, path: Path) -> Iterator[tuple[Path, str]]:
    reserved = ((service.get("deploy") or {}).get("resources") or {}).get("reservations", {}).get("devices", ())
    for where, devices in (
        (("deploy", "resources", "reservations", "devices"), reserved),
        (("gpus",), service.get("gpus", ())),
    ):
        for index, device in enumerate(devices):
            if "count" in device and device.get("device_ids"):
                yield (*path, *where, index), "has both count and device_ids"


def _targets(service: Json, path: Path) -> Iterator[tuple[Path, str]]:
    taken: dict[str, str] = {}
    for index, mount in enumerate(service.get("volumes", ())):
        taken.setdefault(mount.get("target", ""), f"volumes[{index}]")
    for index, text in enumerate(service.get("tmpfs", ())):
        target = str(text).partition(":")[0]
        if taken.setdefault(target, f"tmpfs[{index}]") != f"tmpfs[{index}]":
            yield (*path, "tmpfs", index), f"{target} is mounted already, by {taken[target]}"


def _container_names(document: Json) -> Iterator[tuple[Path, str]]:
    taken: dict[str, str] = {}
    for name, service in document["services"].items():
        given = service.get("container_name")
        if not given:
            continue
        scale = service.get("scale") or (service.get("deploy") or {}).get("replicas") or 1
        if scale > 1:
            yield ("services", name, "container_name"), f"'{given}' cannot be the name of {scale} containers"
        if taken.setdefault(given, name) != name:
            yield ("services", name, "container_name"), f"'{given}' is that of the service {taken[given]}"


def _resources(document: Json, root: Node) -> Iterator[tuple[Path, str]]:
    for name, volume in document["volumes"].items():
        given = [key for key in volume if key not in ("name", "external") and not key.startswith("x-")]
        if volume.get("external") and given:
            yield (
                ("volumes", name, given[0]),
                f"{given[0]} cannot be given for what is external: who made it has said it",
            )
    for section, sources in contents.SOURCES.items():
        for name, fields in document[section].items():
            entry = root.get(section, name)
            given = [key for key in sources if entry is not None and key in entry.mapping()]
            says_nothing = section == "secrets" and not (fields.get("file") or fields.get("environment"))
            if not fields.get("external") and (len(given) != 1 or says_nothing):
                has = f"; it has {' and '.join(given)}" if given else ""
                yield (section, name), f"a {section[:-1]} needs one of {', '.join(sources)}{has}"


def _cycles(services: Mapping[str, Json]) -> Iterator[tuple[Path, str]]:
    """Each cycle of depends_on once."""
    done: set[str] = set()
    for start in services:
        trail, following = [start], [iter(services[start].get("depends_on") or ())]
        while following and start not in done:
            name = next(following[-1], None)
            if name is None:
                done.add(trail.pop())
                following.pop()
            elif name in trail:
                circle = [*trail[trail.index(name) :], name]
                yield ("services", circle[0], "depends_on", circle[1]), f"a cycle: {' → '.join(circle)}"
                done.update(trail)
                break
            elif name not in done and name in services:
                trail.append(name)
                following.append(iter(services[name].get("depends_on") or ()))
