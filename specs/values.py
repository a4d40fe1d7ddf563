"""Canonical values of a service's keys, one function a key: numbers out of units, absolute paths, defaults.

A function gives back None where the value means what its absence means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from specs import (
    block_io,
    confinement,
    contents,
    elsewhere,
    hooks,
    log_options,
    mounts,
    namespaces,
    only_ours,
    ports,
    scalars,
    security_options,
    units,
    user_namespace,
)
from specs.context import Context
from specs.errors import Path
from specs.node import Node, Scalar, text_of

Convert: TypeAlias = Callable[[Node, Path, Context], "Node | None"]

_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")


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


def duration(node: Node, path: Path, context: Context) -> Node | None:
    """Seconds."""
    try:
        return node.with_value(units.parse_duration(str(node.value)))
    except ValueError as error:
        context.findings.error(node, path, str(error))
        return None


def size(node: Node, path: Path, context: Context) -> Node | None:
    """Bytes; None for 0 and -1, which are no limit."""
    if str(node.value) == "-1":
        return None
    try:
        number = units.parse_bytes(node.value if isinstance(node.value, str | int) else str(node.value))
    except ValueError as error:
        context.findings.error(node, path, str(error))
        return None
    return node.with_value(number) if number else None


def cpus(node: Node, path: Path, context: Context) -> Node | None:
    """CPUs as a float; None for 0."""
    number = float(node.value) if isinstance(node.value, int | float) else 0.0
    if not 0 <= number < 1e6:
        context.findings.error(node, path, f"{node.value} is not a number of CPUs")
        return None
    return node.with_value(number) if number else None


def pids(node: Node, path: Path, context: Context) -> Node | None:
    """A number of processes; None for 0 and -1, which are no limit."""
    number = node.value if isinstance(node.value, int) else 0
    if number < -1:
        context.findings.error(node, path, f"{number} is not a number of processes")
    return node if number > 0 else None


def _microseconds(node: Node, path: Path, context: Context) -> Node | None:
    """A number of them, or a duration; None for 0."""
    text = str(node.value).strip()
    try:
        number = int(text) if text.lstrip("-").isdigit() else round(units.parse_duration(text) * 1e6)
    except ValueError:
        number = -1
    if number < 0:
        message = f"'{node.value}' is neither a number of microseconds nor a duration such as 400ms"
        context.findings.error(node, path, message)
    return node.with_value(number) if number > 0 else None


def _swap(node: Node, path: Path, context: Context) -> Node | None:
    return node.with_value(-1) if str(node.value) == "-1" else size(node, path, context)


def _unless_minus_one(node: Node, path: Path, context: Context) -> Node | None:
    return node if node.value not in (0, -1) else None


def _swappiness(node: Node, path: Path, context: Context) -> Node | None:
    if not str(node.value).lstrip("-").isdecimal():
        context.findings.error(node, path, f"'{node.value}' is not a whole number")
        return None
    return node.with_value(int(str(node.value))) if str(node.value) != "-1" else None


def _positive(node: Node, path: Path, context: Context) -> Node | None:
    return node if node.value != 0 else None


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
    fields = {key: child for key, child in item.mapping().items() if child.value is not None}
    for key, check in _PORT_WORDS.items():
        if (child := fields.get(key)) is not None:
            try:
                fields[key] = child.with_value(check(str(child.value)))
            except ValueError as error:
                context.findings.error(item, path, str(error))
    fields.setdefault("protocol", item.with_value("tcp"))
    fields.setdefault("mode", item.with_value("ingress"))
    return item.with_value(fields)


def _volumes(node: Node, path: Path, context: Context) -> Node | None:
    return node.with_value([_mount(item, (*path, i), context) for i, item in enumerate(node.sequence())])


def _mount(item: Node, path: Path, context: Context) -> Node:
    fields = {key: child for key, child in item.mapping().items() if child.value is not None}
    kind, source = text_of(item, "type"), text_of(item, "source")
    for key in ("bind", "volume", "tmpfs"):
        if key in fields and key != kind and not (key == "bind" and fields[key].mapping().keys() == {"selinux"}):
            context.findings.error(fields[key], (*path, key), f"{key} is for mounts of type {key}, this is a {kind}")
    match kind:
        case "bind":
            _bind(fields, item, path, context)
        case "tmpfs":
            if source:
                context.findings.error(fields["source"], (*path, "source"), "a tmpfs has no source")
            _tmpfs_options(fields, path, context)
        case "volume":
            _volume_options(fields, source, path, context)
        case "image" | "npipe" | "cluster":
            context.findings.error(fields["type"], (*path, "type"), f"mounts of type {kind} are not supported yet")
        case _:
            context.findings.error(fields["type"], (*path, "type"), f"'{kind}' is not a type: bind, volume or tmpfs")
    return item.with_value(fields)


def _bind(fields: dict[str, Node], item: Node, path: Path, context: Context) -> None:
    source = fields.get("source")
    if source is None or not source.value:
        context.findings.error(item, path, "a bind needs a source")
        return
    fields["source"] = source.with_value(context.absolute(str(source.value)))
    # compose-spec 05-services.md: create_host_path defaults to true
    given = fields["bind"].mapping() if "bind" in fields else {}
    _choices(given, (*path, "bind"), context)
    is_read_only = "read_only" in fields and fields["read_only"].value is True
    if (recursive := given.get("recursive")) is not None and recursive.value == "readonly" and not is_read_only:
        message = "readonly is for a mount that is read_only: true"
        context.findings.error(recursive, (*path, "bind", "recursive"), message)
    options = {"create_host_path": item.with_value(True), **given}
    fields["bind"] = fields.get("bind", item).with_value(options)


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "propagation": mounts.PROPAGATIONS,
    "recursive": ("enabled", "disabled", "writable", "readonly"),  # compose-spec.schema.json
    "selinux": mounts.SELINUX,
}


def _choices(options: Mapping[str, Node], path: Path, context: Context) -> None:
    for key, words in _CHOICES.items():
        node = options.get(key)
        if node is not None and node.value not in words:
            context.findings.error(node, (*path, key), f"'{node.value}' is not one of {', '.join(words)}")
        elif node is not None and key == "selinux":
            context.findings.note(node, (*path, key), "no label is changed: corral applies no profile of SELinux")


def _volume_options(fields: dict[str, Node], source: str, path: Path, context: Context) -> None:
    if "volume" in fields and not fields["volume"].mapping():
        del fields["volume"]
    if not source:
        fields.pop("source", None)
    if "bind" in fields:  # the short form's z
        _choices(fields.pop("bind").mapping(), (*path, "bind"), context)
    options = fields["volume"].mapping() if "volume" in fields else {}
    if source and (labels := options.get("labels")) is not None:
        message = f"labels of a named volume are given below the top's volumes.{source}"
        context.findings.note(labels, (*path, "volume", "labels"), message)
    if (subpath := options.get("subpath")) is not None and ".." in str(subpath.value).split("/"):
        message = f"'{subpath.value}' is not a path inside the volume"
        context.findings.error(subpath, (*path, "volume", "subpath"), message)


def _tmpfs_options(fields: dict[str, Node], path: Path, context: Context) -> None:
    if "tmpfs" not in fields:
        return
    options = dict(fields["tmpfs"].mapping())
    if (limit := options.pop("size", None)) is not None:
        number = size(limit, (*path, "tmpfs", "size"), context)
        options |= {"size": number} if number is not None else {}
    mode = options.get("mode")
    if mode is not None and isinstance(mode.value, str):
        try:
            options["mode"] = mode.with_value(int(mode.value, 8))
        except ValueError:
            context.findings.error(mode, (*path, "tmpfs", "mode"), f"'{mode.value}' is not an octal mode")
    fields["tmpfs"] = fields["tmpfs"].with_value(options)


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
        seconds = duration(child, (*path, key), context) if child is not None else None
        if seconds is not None and seconds.value:  # 0 is the default, as for docker's engine
            found[key] = seconds
    return node.with_value(found)


def _depends_on(node: Node, path: Path, context: Context) -> Node | None:
    found: dict[str, Node] = {}
    for name, child in node.mapping().items():
        condition = child.get("condition")
        if condition is None:
            context.findings.error(child, (*path, name), "condition is missing: " + ", ".join(_CONDITIONS))
        elif condition.value not in _CONDITIONS:
            message = f"'{condition.value}' is not a condition: {', '.join(_CONDITIONS)}"
            context.findings.error(condition, (*path, name, "condition"), message)
        given = {key: field for key, field in child.mapping().items() if field.value is not None}
        found[name] = child.with_value(
            {"required": child.with_value(True), "restart": child.with_value(False), **given}
        )
    return node.with_value(found)


def _links(node: Node, path: Path, context: Context) -> Node | None:
    items: list[Node] = []
    for index, item in enumerate(node.sequence()):
        parts = str(item.value).split(":")
        if "" in parts or len(parts) > 2:
            context.findings.error(item, (*path, index), f"'{item.value}' is not SERVICE or SERVICE:ALIAS")
        items.append(item.with_value(f"{parts[0]}:{parts[-1]}"))
    return node.with_value(items)


def _external_links(node: Node, path: Path, context: Context) -> Node | None:
    for index, item in enumerate(node.sequence()):
        parts = str(item.value).split(":")
        if "" in parts or len(parts) > 2:
            context.findings.error(item, (*path, index), f"'{item.value}' is not CONTAINER or CONTAINER:ALIAS")
    return node


def _volumes_from(node: Node, path: Path, context: Context) -> Node | None:
    items: list[Node] = []
    for index, item in enumerate(node.sequence()):
        name, _, access = str(item.value).partition(":")
        if name == "container":
            context.findings.error(item, (*path, index), "volumes_from a container is not supported yet")
        elif not name or access not in ("", "ro", "rw"):
            context.findings.error(item, (*path, index), f"'{item.value}' is not SERVICE, SERVICE:ro or SERVICE:rw")
        items.append(item.with_value(f"{name}:ro" if access == "ro" else name))
    return node.with_value(items)


def _extra_hosts(node: Node, path: Path, context: Context) -> Node | None:
    items: list[Node] = []
    for index, item in sorted(enumerate(node.sequence()), key=lambda found: str(found[1].value).partition("=")[0]):
        name, _, address = str(item.value).partition("=")
        if not name or not address:
            context.findings.error(item, (*path, index), f"'{item.value}' is not NAME=ADDRESS")
        if address == "host-gateway":
            context.findings.error(item, (*path, index), "host-gateway is not supported yet: give an address")
        items.append(item.with_value([item.with_value(name), item.with_value(address)]))
    return node.with_value(items)


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
    "cpu_period": _positive,
    "cpu_quota": _unless_minus_one,
    "cpu_rt_period": _microseconds,
    "cpu_rt_runtime": _microseconds,
    "cpu_shares": _positive,
    "cpus": cpus,
    "credential_spec": elsewhere.refuse,
    "depends_on": _depends_on,
    "extra_hosts": _extra_hosts,
    "gpus": elsewhere.refuse,
    "group_add": confinement.groups,
    "healthcheck": _healthcheck,
    "image": _image,
    "ipc": namespaces.canonical,
    "isolation": elsewhere.isolation,
    "external_links": _external_links,
    "links": _links,
    "logging": _logging,
    "mem_limit": size,
    "mem_reservation": size,
    "mem_swappiness": _swappiness,
    "memswap_limit": _swap,
    "network_mode": namespaces.canonical,
    "networks": _networks,
    "pid": namespaces.canonical,
    "pids_limit": pids,
    "platform": elsewhere.platform,
    "ports": _ports,
    "post_start": hooks.canonical,
    "pre_start": hooks.canonical_init,
    "pre_stop": hooks.canonical,
    "pull_policy": elsewhere.pull_policy,
    "runtime": elsewhere.runtime,
    "secrets": _contents,
    "security_opt": security_options.canonical,
    "shm_size": size,
    "stop_grace_period": duration,
    "storage_opt": elsewhere.refuse,
    "sysctls": confinement.sysctl_values,
    "ulimits": confinement.ulimits,
    "use_api_socket": elsewhere.refuse,
    "userns_mode": user_namespace.mode,
    "uts": namespaces.canonical,
    "volumes": _volumes,
    "volumes_from": _volumes_from,
    "x-corral": only_ours.canonical,
}
