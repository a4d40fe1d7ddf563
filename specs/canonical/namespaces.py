"""Namespaces that a service has not, or need not have, for itself: `network_mode`, `pid`, `ipc`, `uts`, `cgroup`; and the parent
of its cgroup. `service:NAME` is the first container of that service, `container:NAME` one by its own name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from specs.canonical import sysctls
from specs.context import Context
from specs.errors import Path, SpecError
from specs.node import Node
from specs.patterns import pattern

if TYPE_CHECKING:
    from specs.model.project import Project
    from specs.model.service import Service

SERVICE, CONTAINER = "service:", "container:"
KEYS = ("network_mode", "pid", "ipc")
"""Those whose value may name a service or a container."""

# moby api/types/container/hostconfig.go, NetworkMode, PidMode, IpcMode, UTSMode; compose-spec.schema.json for cgroup
_WORDS: Mapping[str, tuple[str, ...]] = {
    "network_mode": ("none", "host", "bridge"),
    "pid": ("host",),
    "ipc": ("host", "private", "shareable", "none"),
    "uts": ("host",),
    "cgroup": ("host", "private"),
}
_PARENT_PART = pattern(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")
_PARENT_PARTS = 8
_KERNEL_FILES = pattern(  # linux kernel/cgroup: what is in every cgroup already
    r"(blkio|cgroup|cpu|cpuacct|cpuset|devices|freezer|hugetlb|io|irq|memory|misc|net_cls|net_prio|perf_event|pids|rdma)\..*"
    r"|notify_on_release|release_agent|tasks"
)


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    return node if node.value else None


def note_what_is_idle(fields: Mapping[str, Node], path: Path, context: Context) -> None:
    """Docker takes it, and does nothing."""
    ipc, size = fields.get("ipc"), fields.get("shm_size")
    if ipc is not None and size is not None and str(ipc.value) not in ("private", "shareable"):
        message = f"it is of no use with ipc {ipc.value}: that /dev/shm is not this container's"
        context.findings.note(size, (*path, "shm_size"), message)


def service_of(value: str | None) -> str:
    """The service that `service:NAME` names; "" where the value is something else."""
    return value.removeprefix(SERVICE) if value and value.startswith(SERVICE) else ""


def container_of(value: str | None) -> str:
    """The container that `container:NAME` names; "" where the value is something else."""
    return value.removeprefix(CONTAINER) if value and value.startswith(CONTAINER) else ""


def is_joined(value: str | None) -> bool:
    """The namespace is another container's."""
    return bool(value) and str(value).startswith((SERVICE, CONTAINER))


def parent_parts(parent: str) -> tuple[str, ...]:
    """The names of the cgroups that `cgroup_parent` names, from the top. Relative or absolute, it begins in the same place."""
    return tuple(part for part in parent.split("/") if part)


def problems(project: Project) -> Iterator[SpecError]:
    """Every word that is none, every name of nobody, and every other key that cannot be had together with it."""
    for _, service, path, _ in project.bodies():
        for key in _WORDS:
            yield from _word(project, key, getattr(service, key), (*path, key))
        yield from _of_the_network(service, path)
        yield from _of_the_machine(service, path)
        yield from _ipc(project, service, path)
        yield from _parent(service.cgroup_parent, (*path, "cgroup_parent"))


def _word(project: Project, key: str, value: str | None, path: Path) -> Iterator[SpecError]:
    if value is None or (value in _WORDS[key] and value != "bridge"):  # which is spelled out as a network by now
        return
    forms = (*_WORDS[key], *(("service:NAME", "container:NAME") if key in KEYS else ()))
    if key not in KEYS or not (service_of(value) or container_of(value)):
        yield SpecError(path, f"'{value}' is not one of {', '.join(forms)}")
    elif (other := service_of(value)) and other not in project.services:
        yield SpecError(path, f"there is no service {other}")


def _of_the_network(service: Service, path: Path) -> Iterator[SpecError]:
    """What belongs to the network that it shares is said where that is. # moby daemon/runconfig, validateNetContainerMode"""
    if not is_joined(service.network_mode):
        return
    for key in ("hostname", "domainname", "expose", "extra_hosts", "dns", "dns_search", "dns_opt"):
        if getattr(service, key):
            message = f"cannot be given together with network_mode {service.network_mode}"
            yield SpecError((*path, key), message, hint="give it to the container whose network it is")
    for name in service.sysctls:
        if sysctls.of_network(name):
            message = f"{name} cannot be set with network_mode {service.network_mode}: the network is another's"
            yield SpecError((*path, "sysctls", name), message, hint="set it there")


def _of_the_machine(service: Service, path: Path) -> Iterator[SpecError]:
    if service.uts == "host":
        for key in ("hostname", "domainname"):
            if getattr(service, key):
                yield SpecError((*path, key), "cannot be given together with uts host: the name is the machine's")


def _ipc(project: Project, service: Service, path: Path) -> Iterator[SpecError]:
    shares = service.ipc == "host" or is_joined(service.ipc)
    for name in service.sysctls if shares else ():
        if sysctls.of_ipc(name):
            message = f"{name} cannot be set with ipc {service.ipc}: the ipc namespace is another's"
            yield SpecError((*path, "sysctls", name), message)
    name = service_of(service.ipc)
    donor = project.replica(name, 1) if name in project.services else None
    if donor is not None and donor.ipc in (None, "private", "none"):
        message = f"{service_of(service.ipc)} does not share its ipc namespace"
        yield SpecError((*path, "ipc"), message, hint=f"say ipc: shareable at {service_of(service.ipc)}")


def _parent(parent: str | None, path: Path) -> Iterator[SpecError]:
    if parent is None:
        return
    parts = parent_parts(parent)
    if not 1 <= len(parts) <= _PARENT_PARTS:
        yield SpecError(path, f"'{parent}' does not name 1 to {_PARENT_PARTS} cgroups, separated by /")
    for part in parts:
        if not _PARENT_PART.fullmatch(part) or len(part) > 100:
            yield SpecError(
                path, f"'{part}' cannot be the name of a cgroup: letters, digits, '_', '-' and '.' after one"
            )
        elif _KERNEL_FILES.fullmatch(part):
            yield SpecError(path, f"'{part}' cannot be the name of a cgroup: it is that of a file of the kernel's")
