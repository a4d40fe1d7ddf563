"""Canonical values of a service's keys, one function a key: numbers out of units, absolute paths, defaults.

A function gives back None where the value means what its absence means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from specs import scalars
from specs.canonical import (
    block_io,
    confinement,
    contents,
    elsewhere,
    hooks,
    log_options,
    namespaces,
    only_ours,
    others,
    providers,
    quantities,
    security_options,
    user_namespace,
    volumes,
)
from specs.composing import ports
from specs.context import Context
from specs.errors import Path
from specs.node import Node, Scalar

Convert: TypeAlias = Callable[[Node, Path, Context], "Node | None"]


def convert(fields: Mapping[str, Node], path: Path, context: Context) -> dict[str, Node]:
    """The fields of a service, each in its canonical form; the meaningless ones are gone."""
    found: dict[str, Node] = {}
    for key, node in fields.items():
        if node.value is None:
            if key not in NULLABLE:
                context.findings.error(node, (*path, key), "is empty: give it a value or remove it")
            continue
        value = _CONVERT[key](node, (*path, key), context) if key in _CONVERT else node
        if value is not None:
            found[key] = value
    return found


def _image(node: Node, path: Path, context: Context) -> Node | None:
    return context.image(node, path)


def _networks(node: Node, path: Path, context: Context) -> Node | None:
    empty: dict[str, Node] = {}
    found = {}
    for key, child in node.mapping().items():
        fields = {word: value for word, value in child.mapping().items() if value.value is not None}
        if "driver_opts" in fields:
            fields["driver_opts"] = option_texts(fields["driver_opts"])
        found[key] = child.with_value(fields or empty)
    return node.with_value(found)


def option_texts(node: Node) -> Node:
    """The options of a driver, all as text."""
    given = {key: child for key, child in node.mapping().items() if child.value is not None}
    return node.with_value({key: child.with_value(scalars.as_text(scalar(child))) for key, child in given.items()})


def scalar(node: Node) -> Scalar:
    return None if isinstance(node.value, dict | list) else node.value


def _ports(node: Node, path: Path, context: Context) -> Node | None:
    items = [_port(item, (*path, index), context) for index, item in enumerate(node.sequence())]
    return node.with_value([*items])


_PORT_WORDS: Mapping[str, Callable[[str], str]] = {
    "published": ports.check_published,
    "protocol": ports.check_protocol,
    "host_ip": ports.check_address,
}


def _port(item: Node, path: Path, context: Context) -> Node:
    fields = {key: child for key, child in item.mapping().items() if child.value not in (None, "")}
    for key, check in _PORT_WORDS.items():
        if (child := fields.get(key)) is not None:
            try:
                fields[key] = child.with_value(check(str(child.value)))
            except ValueError as error:
                context.findings.error(item, path, str(error))
    fields.setdefault("protocol", item.with_value("tcp"))
    fields.setdefault("mode", item.with_value("ingress"))
    return item.with_value(fields)


def _contents(node: Node, path: Path, context: Context) -> Node | None:
    items = [contents.canonical_use(item, (*path, index), context) for index, item in enumerate(node.sequence())]
    return node.with_value([*items])


def _logging(node: Node, path: Path, context: Context) -> Node | None:
    fields = {key: child for key, child in node.mapping().items() if child.value is not None}
    options = fields.get("options")
    if options is not None:
        texts = {key: child for key, child in options.mapping().items() if child.value is not None}
        fields["options"] = options.with_value(
            {key: child.with_value(scalars.as_text(child.value)) for key, child in texts.items()}  # type: ignore[arg-type]
        )
        for key, child in texts.items():
            if why := log_options.MEANINGLESS.get(key):
                context.findings.note(child, (*path, "options", key), f"means nothing here: {why}")
    return node.with_value(fields) if fields else None


def _healthcheck(node: Node, path: Path, context: Context) -> Node | None:
    disable, test = node.get("disable"), node.get("test")
    words = [item.value for item in test.sequence()] if test is not None else []
    if (disable is not None and disable.value is True) or words == ["NONE"]:
        return None
    if words == ["CMD-SHELL", "NONE"] and test is not None:
        context.findings.note(test, (*path, "test"), 'NONE is read as ["NONE"]: no healthcheck')
        return None
    if not words:
        context.findings.error(node, path, "a healthcheck needs a test, as no image brings one yet")
    found = {key: child for key, child in node.mapping().items() if key in ("test", "retries") and child.value}
    for key in ("interval", "timeout", "start_period", "start_interval"):
        child = node.get(key)
        seconds = quantities.duration(child, (*path, key), context) if child is not None else None
        if seconds is not None and seconds.value:  # 0 is the default, as for docker's engine
            found[key] = seconds
    return node.with_value(found)


NULLABLE = frozenset({"command", "entrypoint", "deploy"})
"""Keys that may be left empty, which means the same as leaving them out; any other empty key is an error."""

_CONVERT: Mapping[str, Convert] = {
    "blkio_config": block_io.canonical,
    "cap_add": confinement.capability_names,
    "cap_drop": confinement.capability_names,
    "cgroup_parent": namespaces.canonical,
    "configs": _contents,
    "cpu_count": elsewhere.refuse,
    "cpu_percent": elsewhere.refuse,
    "cpu_period": quantities.positive,
    "cpu_quota": quantities.unless_minus_one,
    "cpu_rt_period": quantities.microseconds,
    "cpu_rt_runtime": quantities.microseconds,
    "cpu_shares": quantities.positive,
    "cpus": quantities.cpus,
    "credential_spec": elsewhere.refuse,
    "depends_on": others.depends_on,
    "develop": elsewhere.develop,
    "extra_hosts": others.extra_hosts,
    "gpus": elsewhere.refuse,
    "group_add": confinement.groups,
    "healthcheck": _healthcheck,
    "image": _image,
    "ipc": namespaces.canonical,
    "isolation": elsewhere.isolation,
    "external_links": others.external_links,
    "links": others.links,
    "logging": _logging,
    "mem_limit": quantities.size,
    "mem_reservation": quantities.size,
    "mem_swappiness": quantities.swappiness,
    "memswap_limit": quantities.swap,
    "models": elsewhere.refuse,
    "network_mode": namespaces.canonical,
    "networks": _networks,
    "pid": namespaces.canonical,
    "pids_limit": quantities.pids,
    "platform": elsewhere.platform,
    "ports": _ports,
    "post_start": hooks.canonical,
    "pre_start": hooks.canonical_init,
    "pre_stop": hooks.canonical,
    "provider": providers.canonical,
    "pull_policy": elsewhere.pull_policy,
    "pull_refresh_after": elsewhere.pull_refresh_after,
    "runtime": elsewhere.runtime,
    "secrets": _contents,
    "security_opt": security_options.canonical,
    "shm_size": quantities.size,
    "stop_grace_period": quantities.duration,
    "storage_opt": elsewhere.refuse,
    "sysctls": confinement.sysctl_values,
    "ulimits": confinement.ulimits,
    "use_api_socket": elsewhere.refuse,
    "userns_mode": user_namespace.mode,
    "uts": namespaces.canonical,
    "volumes": volumes.canonical,
    "volumes_from": others.volumes_from,
    "x-corral": only_ours.canonical,
}
