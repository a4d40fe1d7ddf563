"""What is allowed, and bites later: `config --lint`. Each rule names the place, what will happen, and the way out.

Rules look at the project's normal form, at all files in one, with the places and the texts before variables were filled in,
and at a few facts of the machine, which are given. A rule is here because it costs people an evening, not for taste.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from specs import node, units
from specs.errors import Path, SpecError
from specs.files import interpolation
from specs.node import Node, Place

Json = Mapping[str, Any]
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Warnings = Iterator[tuple[Path, str, str]]
"""Path, message, way out."""


class Route(NamedTuple):
    """Of the machine. `is_bridge`: it leads to a network of containers."""

    subnet: IPNetwork
    device: str
    is_bridge: bool = False


class Machine(NamedTuple):
    """`exists`: whether there is such a file or folder."""

    routes: tuple[Route, ...]
    memory_bytes: int
    exists: Callable[[str], bool]


class Subject(NamedTuple):
    """`document` is the project's normal form with what is active, `root` all files in one, `written` texts with variables."""

    document: Json
    root: Node
    written: Mapping[Place, str]
    machine: Machine

    def services(self) -> Iterator[tuple[Path, Json]]:
        for name, service in self.document.get("services", {}).items():
            yield ("services", name), service

    def at(self, *path: str | int) -> Node | None:
        here: Node | None = self.root
        for part in path:
            if here is None:
                return None
            items = here.sequence()
            here = (items[part] if part < len(items) else None) if isinstance(part, int) else here.mapping().get(part)
        return here


def warnings(subject: Subject) -> list[SpecError]:
    """By place; each place once for each message."""
    found = {
        SpecError(path, message, *node.place_of(subject.root, path), hint)
        for rule in RULES
        for path, message, hint in rule(subject)
    }
    return sorted(found, key=lambda each: (each.file, each.line, each.column, each.message))


# -------------------------------------------------------------------------------------------------------- order, health


def _health(subject: Subject) -> Warnings:
    services = subject.document.get("services", {})
    for path, service in subject.services():
        for name, how in (service.get("depends_on") or {}).items():
            check = (services.get(name) or {}).get("healthcheck") or {}
            has_check = bool(check.get("test")) and check["test"] != ["NONE"] and not check.get("disable")
            where = (*path, "depends_on", name)
            if name in services and how.get("condition") == "service_healthy" and not has_check:
                message = (
                    f"waits until {name} is healthy, which has no healthcheck: unless its image brings one, it never is"
                )
                yield (*where, "condition"), message, f"give {name} a healthcheck"
            elif has_check and how.get("condition") == "service_started" and subject.at(*where) is not None:
                message = f"waits for the start of {name} only, though that has a healthcheck"
                yield where, message, "condition: service_healthy"


def _healthcheck_text(subject: Subject) -> Warnings:
    for path, service in subject.services():
        test = (service.get("healthcheck") or {}).get("test") or []
        if len(test) == 2 and test[0] == "CMD-SHELL" and (word := str(test[1]).split(" ")[0]) in ("CMD", "CMD-SHELL"):
            message = f"as text it is for a shell, which looks for a program {word}"
            yield (*path, "healthcheck", "test"), message, f'write a list: ["{word}", …]'


# ---------------------------------------------------------------------------------------------------------------- names


def _underscores(subject: Subject) -> Warnings:
    why = "java.net.URI and browsers take no _ in the name of a host"
    for path, service in subject.services():
        name, hostname = str(path[1]), str(service.get("hostname", ""))
        if "_" in hostname:
            yield (*path, "hostname"), f"'{hostname}': {why}", hostname.replace("_", "-")
        elif "_" in name and not hostname:
            hint = f"call it {name.replace('_', '-')}; corral knows it by that name too, docker compose does not"
            yield path, f"'{name}': {why}", hint
        for network, joined in (service.get("networks") or {}).items():
            for index, alias in enumerate((joined or {}).get("aliases", ())):
                if "_" in alias:
                    where = (*path, "networks", network, "aliases", index)
                    yield where, f"'{alias}': {why}", alias.replace("_", "-")


# ------------------------------------------------------------------------------------------------------------- networks


def _overlaps(subject: Subject) -> Warnings:
    for name, network in subject.document.get("networks", {}).items():
        for index, pool in enumerate((network.get("ipam") or {}).get("config", ())):
            for route in subject.machine.routes:
                subnet = _network(pool.get("subnet", ""))
                is_own = route.is_bridge and subnet == route.subnet
                if subnet and subnet.version == route.subnet.version and subnet.overlaps(route.subnet) and not is_own:
                    message = f"{subnet} overlaps {route.subnet}, which this machine reaches by {route.device}"
                    hint = "take another subnet, or leave it out: corral chooses one that is free"
                    yield ("networks", name, "ipam", "config", index, "subnet"), message, hint


def _network(text: str) -> IPNetwork | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _open_ports(subject: Subject) -> Warnings:
    for path, service in subject.services():
        for index, port in enumerate(service.get("ports", ())):
            if port.get("host_ip", "0.0.0.0") in ("0.0.0.0", "::", ""):
                published = port.get("published") or port.get("target")
                message = f"port {published} is open on every address of this machine, for whoever reaches it"
                hint = f'"127.0.0.1:{port.get("published", "")}:{port.get("target")}" is for this machine only'
                yield (*path, "ports", index), message, hint


# --------------------------------------------------------------------------------------------------------------- memory


def _memory(subject: Subject) -> Warnings:
    limits = {path: _memory_of(service) for path, service in subject.services()}
    total = sum(limits.values())
    if total > subject.machine.memory_bytes > 0:
        path = max(limits, key=lambda each: limits[each])
        have, asked = subject.machine.memory_bytes / 2**30, total / 2**30
        message = f"the limits of all services add up to {asked:.1f} GiB, and this machine has {have:.1f}"
        where = (*path, "mem_limit") if subject.at(*path, "mem_limit") is not None else path
        yield (
            where,
            f"{message}: whoever comes last is ended by the kernel",
            "x-corral: {memory: guaranteed} refuses that",
        )


def _memory_of(service: Json) -> int:
    deploy = service.get("deploy") or {}
    limit = service.get("mem_limit") or ((deploy.get("resources") or {}).get("limits") or {}).get("memory") or "0"
    count = service.get("scale", deploy.get("replicas", 1))
    try:
        return units.parse_bytes(str(limit)) * (count if isinstance(count, int) else 1)
    except ValueError:
        return 0


# ------------------------------------------------------------------------------------------------------ files, contents


def _unused(subject: Subject) -> Warnings:
    """Of all services, also those that are not active."""
    services = subject.root.get("services")
    bodies = [
        *(services.mapping().values() if services is not None else ()),
    ]
    if any(body.get("x-corral", "replica") is not None for body in bodies):
        return
    for section in ("networks", "volumes", "configs", "secrets"):
        entries = subject.root.get(section)
        used = {name for body in bodies for name in _used(body, section)}
        for name in entries.mapping() if entries is not None else ():
            if name not in used and not (section == "networks" and name == "default"):
                yield (
                    (section, name),
                    f"no service uses the {section[:-1]} {name}",
                    "take it out, or name it in a service",
                )


def _used(service: Node, section: str) -> Iterator[str]:
    said = service.get(section)
    if said is not None:
        yield from said.mapping()
        yield from (node.text_of(item, "source") for item in said.sequence())
    if section == "secrets" and (built := service.get("build", "secrets")) is not None:
        yield from (node.text_of(item, "source") or str(item.value) for item in built.sequence())


_FILE = re.compile(r"[^/]\.[a-z0-9]{1,5}$")


def _missing_files(subject: Subject) -> Warnings:
    for path, service in subject.services():
        for index, mount in enumerate(service.get("volumes", ())):
            source, makes = mount.get("source", ""), (mount.get("bind") or {}).get("create_host_path")
            if mount.get("type") == "bind" and makes and _FILE.search(source) and not subject.machine.exists(source):
                message = f"there is no {source}: a folder of that name will be made and mounted"
                yield (*path, "volumes", index), message, "make the file, or say create_host_path: false"


_MODES = frozenset({400, 440, 444, 500, 550, 555, 600, 640, 644, 660, 664, 666, 700, 750, 755, 770, 775, 777})


def _decimal_modes(subject: Subject) -> Warnings:
    for path, service in subject.services():
        for section in ("configs", "secrets"):
            for index, _ in enumerate(service.get(section, ())):
                mode = subject.at(*path, section, index, "mode")
                if mode is not None and not isinstance(mode.value, bool) and mode.value in _MODES:
                    message = f"{mode.value} is a decimal number, which is the mode {int(str(mode.value)):04o}"
                    yield (*path, section, index, "mode"), message, f"write 0{mode.value}"


# --------------------------------------------------------------------------------------------------- images, commands


def _tags(subject: Subject) -> Warnings:
    for path, service in subject.services():
        image = str(service.get("image", ""))
        name = image.rpartition("/")[2]
        if not image or service.get("build") or image == "host" or image.startswith("rootfs:") or "@" in name:
            continue
        tag = name.partition(":")[2]
        if tag in ("", "latest"):
            message = (
                f"'{image}' is whatever is latest when it is pulled" if not tag else "latest is another image tomorrow"
            )
            yield (*path, "image"), message, f"name a version: {image.removesuffix(':latest')}:1.2.3"


def _filled_in_too_early(subject: Subject) -> Warnings:
    """In commands, variables that the container has, and the file fills in."""
    for path, service in subject.services():
        own = set(service.get("environment") or {})
        for key in (("command",), ("entrypoint",), ("healthcheck", "test")):
            said = subject.at(*path, *key)
            for item in [said, *said.sequence()] if said is not None else []:
                names = {name for name, _, _ in interpolation.variables(subject.written.get(item.place, ""))}
                for name in sorted(names & own):
                    message = f"${name} is filled in from where this is run, not from the service's environment"
                    yield (*path, *key), message, f"write $${name}"


_SHELLS = ("sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/bash")


def _deaf_shells(subject: Subject) -> Warnings:
    for path, service in subject.services():
        words = [str(word) for word in (*(service.get("entrypoint") or ()), *(service.get("command") or ()))]
        if service.get("init") or len(words) < 3 or words[0] not in _SHELLS or "-c" not in words[1]:
            continue
        text = words[2].strip()
        last = re.split(r"&&|;|\n", text)[-1].strip()
        if last != text and not last.startswith("exec ") and not re.search(r"\b(trap|wait)\b", text):
            message = (
                "the shell passes no signal on: each stop takes its whole grace, 10 s unless given, and then kills"
            )
            key = "command" if service.get("command") else "entrypoint"
            yield (*path, key), message, "exec the last program, or say init: true"


RULES: tuple[Callable[[Subject], Warnings], ...] = (
    _health,
    _healthcheck_text,
    _underscores,
    _overlaps,
    _open_ports,
    _memory,
    _unused,
    _missing_files,
    _decimal_modes,
    _tags,
    _filled_in_too_early,
    _deaf_shells,
)
