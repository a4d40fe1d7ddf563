"""How far a service is kept from the machine: user namespaces (`userns_mode`, `x-corral: {userns: …}`) and the strict profile
(`security_opt: ["corral:strict"]`).

In a user namespace the container has IDS user and group ids of its own: its root is nobody outside. What needs the machine's
root contradicts it, and is refused rather than left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from specs.canonical import security_options, tmpfs
from specs.canonical.user_namespace import AUTO, HOST
from specs.errors import Path, SpecError

if TYPE_CHECKING:
    from specs.model.service import Service

IDS = 65536
_WAY_OUT = "userns_mode: host does without a user namespace"
_STRICT_WAY_OUT = "leave it out, or leave out corral:strict"


# --------------------------------------------------------------------------------------------------------- what is meant


def is_strict(service: Service) -> bool:
    return any(security_options.is_strict(text) for text in service.security_opt)


def has_user_namespace(service: Service) -> bool:
    return service.userns_mode == AUTO or is_strict(service)


# -------------------------------------------------------------------------------------------------------- what is wrong


def problems(service: Service, path: Path) -> Iterator[SpecError]:
    """Of a service whose security options are such."""
    if is_strict(service):
        for where, why in _undone(service):
            yield SpecError((*path, *where), f"cannot be given with corral:strict: {why}", hint=_STRICT_WAY_OUT)
    elif has_user_namespace(service):
        for where, why in _impossible(service):
            yield SpecError((*path, *where), f"cannot be given in a user namespace: {why}", hint=_WAY_OUT)
    if has_user_namespace(service):
        for where, number in _ids(service):
            message = f"{number} is not among the {IDS} ids of a user namespace"
            yield SpecError((*path, *where), message, hint="" if is_strict(service) else _WAY_OUT)


def _impossible(service: Service) -> Iterator[tuple[Path, str]]:
    if service.privileged:
        yield ("privileged",), "it is to be the machine's root"
    for key in ("network_mode", "pid", "ipc", "uts"):
        if getattr(service, key) == HOST:
            yield (key,), "the machine's is its root's"
    for index, mount in enumerate(service.volumes):
        if mount.type == "bind" and mount.bind.propagation.removeprefix("r") in ("shared", "slave"):
            yield ("volumes", index, "bind", "propagation"), "it hears nothing of the machine's mounts"


def _undone(service: Service) -> Iterator[tuple[Path, str]]:
    yield from _impossible(service)
    if service.userns_mode == HOST:
        yield ("userns_mode",), "it has a user namespace"
    if service.cap_add:
        yield ("cap_add",), "it has few capabilities, and no others"
    for key, given in (("devices", service.devices), ("device_cgroup_rules", service.device_cgroup_rules)):
        if given:
            yield (key,), "it has no device of the machine's"
    for index, text in enumerate(service.security_opt):
        options = security_options.parse((text,))
        if options.seccomp:
            yield ("security_opt", index), "it has a seccomp profile of its own"
        if options.unmasked:
            yield ("security_opt", index), "files of the kernel's stay hidden"
        if security_options.key_of(text) == "no-new-privileges" and not options.no_new_privileges:
            yield ("security_opt", index), "it gains no privileges"


def _ids(service: Service) -> Iterator[tuple[Path, int]]:
    """Every number that is too large to be an id there, with its place."""
    numbers: list[tuple[Path, str]] = [(("user",), part) for part in (service.user or "").split(":")]
    numbers += [(("group_add", index), group) for index, group in enumerate(service.group_add)]
    for section, uses in (("configs", service.configs), ("secrets", service.secrets)):
        for index, use in enumerate(uses):
            numbers += [((section, index, "uid"), use.uid), ((section, index, "gid"), use.gid)]
    for index, text in enumerate(service.tmpfs):
        try:
            options = tmpfs.parse(text)
        except ValueError:
            continue  # which is told elsewhere
        numbers += [(("tmpfs", index), str(number)) for number in (options.uid, options.gid)]
    for where, text in numbers:
        if text.isascii() and text.isdigit() and int(text) >= IDS:
            yield where, int(text)
