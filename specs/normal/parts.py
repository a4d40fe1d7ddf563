"""Parts of a service in Compose's normal form: see `service`."""

from __future__ import annotations

from typing import Any

from specs import node, scalars, units
from specs.composing import mounts, short_lists
from specs.context import Context
from specs.errors import Path
from specs.node import Node
from specs.normal import render

Json = dict[str, Any]


def as_written(given: Node, path: Path, context: Context) -> Any:
    return node.plain(given)


def number(given: Node, path: Path, context: Context) -> Any:
    """A whole one without a point, as JSON has it from Go."""
    value = given.value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def whole(given: Node, path: Path, context: Context) -> Any:
    """A number of microseconds."""
    try:
        return int(str(given.value)) if not isinstance(given.value, float) else int(given.value)
    except ValueError:
        context.findings.error(given, path, f"'{given.value}' is not a whole number")
        return None


def microseconds(given: Node, path: Path, context: Context) -> Any:
    """A number of them, or a duration."""
    text = str(given.value)
    if text.lstrip("-").isdigit() or isinstance(given.value, float):
        return whole(given, path, context)
    try:
        return round(units.parse_duration(text) * 1e6)
    except ValueError as error:
        context.findings.error(given, path, str(error))
        return None


def size(given: Node, path: Path, context: Context) -> str:
    """Bytes, as text; "" for 0."""
    value = given.value
    try:
        if isinstance(value, float):
            value = int(value)
        found = int(str(value)) if str(value).lstrip("-").isdigit() else units.parse_bytes(str(value))
    except ValueError as error:
        context.findings.error(given, path, str(error))
        return ""
    return str(found) if found else ""


def duration(given: Node, path: Path, context: Context) -> str:
    text = str(given.value)
    try:
        return text[:1].replace("+", "") + _duration(text[1:]) if text[:1] in ("+", "-") else _duration(text)
    except ValueError as error:
        context.findings.error(given, path, str(error))
        return ""


def _duration(text: str) -> str:
    return render.duration(units.parse_duration(text))


def texts(given: Node, path: Path, context: Context) -> Json:
    """All values as text."""
    return {key: text(child) for key, child in given.mapping().items()}


def each_as_text(given: Node, path: Path, context: Context) -> list[str]:
    return [text(item) for item in given.sequence()]


def text(given: Node) -> str:
    return "" if isinstance(given.value, dict | list) else scalars.as_text(given.value)


def filled(given: Node) -> Json:
    """Plain fields, without empty ones."""
    found = {key: node.plain(child) for key, child in given.mapping().items()}
    return {key: value for key, value in found.items() if not is_empty(value)}


def is_empty(value: Any) -> bool:
    """Go's omitempty."""
    return value is None or value is False or (not isinstance(value, bool) and value in ("", [], {}, 0))


def put(found: Json, given: Node, path: Path, context: Context, *, make: Any, keys: str, keep: bool = False) -> None:
    """Make the fields anew that are given; `keep`: also where they are empty."""
    for key in keys.split():
        child = given.get(key)
        found.pop(key, None)
        if child is not None:
            value = make(child, (*path, key), context)
            if keep or not is_empty(value):
                found[key] = value


# ------------------------------------------------------------------------------------------------------ ports, mounts


def ports(given: Node, path: Path, context: Context) -> list[Json]:
    found = []
    for item in given.sequence():
        fields = filled(item)
        if "published" in fields:
            fields["published"] = scalars.as_text(fields["published"])
        shown = {"mode": "ingress", "protocol": "tcp", **fields}
        found.append({key: value for key, value in shown.items() if key in fields or item.get(key) is None})
    return found


def volumes(given: Node, path: Path, context: Context) -> list[Json]:
    return [_mount(item, (*path, index), context) for index, item in enumerate(given.sequence())]


def _mount(item: Node, path: Path, context: Context) -> Json:
    if (short := item.get(short_lists.AS_COMPOSE)) is not None:
        return _drive(mounts.parse(str(short.value), with_drives=True))
    found = filled(item)
    for key in ("bind", "volume", "tmpfs", "image"):
        child = item.get(key)
        if child is not None:
            found[key] = filled(child)
    if (tmpfs := item.get("tmpfs")) is not None:
        put(found["tmpfs"], tmpfs, (*path, "tmpfs"), context, make=size, keys="size")
        put(found["tmpfs"], tmpfs, (*path, "tmpfs"), context, make=_mode_number, keys="mode")
    return found


def _drive(mount: mounts.Mount) -> Json:
    options = {"propagation": mount.propagation, "selinux": mount.selinux, "create_host_path": mount.type == "bind"}
    bind = {key: value for key, value in options.items() if value}
    volume = {"nocopy": True} if mount.nocopy else {}
    found = {"source": mount.source, "read_only": mount.read_only, "bind": bind}
    is_volume = {"volume": volume} if volume or mount.type == "volume" else {}
    return {"type": mount.type, "target": mount.target, **{k: v for k, v in found.items() if v}, **is_volume}


def _mode_number(given: Node, path: Path, context: Context) -> Any:
    if not isinstance(given.value, str):
        return given.value
    try:
        return int(given.value, 8)
    except ValueError:
        context.findings.error(given, path, f"'{given.value}' is not an octal mode")
        return None


def content_uses(given: Node, path: Path, context: Context) -> list[Json]:
    return [_use(item, (*path, index), context) for index, item in enumerate(given.sequence())]


def secret_uses(given: Node, path: Path, context: Context) -> list[Json]:
    uses = content_uses(given, path, context)
    return [{**use, "target": use.get("target") or f"/run/secrets/{use.get('source', '')}"} for use in uses]


def _use(item: Node, path: Path, context: Context) -> Json:
    found = filled(item)
    if (mode := item.get("mode")) is not None:
        value = _mode_number(mode, (*path, "mode"), context)
        found["mode"] = f"0{int(value):o}" if isinstance(value, int | float) else ""
    return found


# -------------------------------------------------------------------------------------------------------- what it may


def block_io(given: Node, path: Path, context: Context) -> Json:
    found = filled(given)
    for key, child in given.mapping().items():
        if key.startswith("device_"):
            found[key] = [_rate(item, (*path, key, index), context) for index, item in enumerate(child.sequence())]
    return found


def _rate(item: Node, path: Path, context: Context) -> Json:
    found = filled(item)
    put(found, item, path, context, make=size, keys="rate")
    return found


def ulimits(given: Node, path: Path, context: Context) -> Json:
    found = {}
    for name, child in given.mapping().items():
        fields = node.plain(child)
        found[name] = fields
    return found


def gpus(given: Node, path: Path, context: Context) -> list[Json]:
    if isinstance(given.value, str):
        return [{"count": -1}]
    return _devices(given, path, context)


def _devices(given: Node, path: Path, context: Context) -> list[Json]:
    found = []
    for index, item in enumerate(given.sequence()):
        fields = filled(item)
        count = fields.get("count")
        if count == "all" or (count is None and not fields.get("device_ids")):
            fields["count"] = -1
        elif isinstance(count, str):
            fields["count"] = whole(item.mapping()["count"], (*path, index, "count"), context)
        if (options := item.get("options")) is not None:
            fields["options"] = _pairs(options)
        found.append(fields)
    return found


def deploy(given: Node, path: Path, context: Context) -> Json:
    found = filled(given)
    if (replicas := given.get("replicas")) is not None:
        found["replicas"] = replicas.value
    for key in ("update_config", "rollback_config"):
        if (roll := given.get(key)) is not None:
            found[key] = _roll(roll, (*path, key), context)
    if (policy := given.get("restart_policy")) is not None:
        found["restart_policy"] = restart = filled(policy)
        put(restart, policy, (*path, "restart_policy"), context, make=duration, keys="delay window", keep=True)
        put(restart, policy, (*path, "restart_policy"), context, make=as_written, keys="max_attempts", keep=True)
    # compose-go prints both, whether given or not
    found["resources"], found["placement"] = {}, filled(given.get("placement") or given.with_value(None))
    for key in ("limits", "reservations"):
        if (resource := given.get("resources", key)) is not None:
            found["resources"][key] = _resource(resource, (*path, "resources", key), context)
    return found


def _roll(given: Node, path: Path, context: Context) -> Json:
    found = filled(given)
    put(found, given, path, context, make=duration, keys="delay monitor")
    put(found, given, path, context, make=as_written, keys="parallelism", keep=True)
    return found


def _resource(given: Node, path: Path, context: Context) -> Json:
    found = filled(given)
    put(found, given, path, context, make=size, keys="memory")
    put(found, given, path, context, make=number, keys="cpus")
    if (devices := given.get("devices")) is not None:
        found["devices"] = _devices(devices, (*path, "devices"), context)
    return found


# ----------------------------------------------------------------------------------------------------- what it runs


def healthcheck(given: Node, path: Path, context: Context) -> Json:
    found = filled(given)
    put(found, given, path, context, make=duration, keys="interval timeout start_period start_interval", keep=True)
    put(found, given, path, context, make=as_written, keys="retries", keep=True)
    return found


def logging(given: Node, path: Path, context: Context) -> Json:
    found = filled(given)
    if (options := given.get("options")) is not None:
        found["options"] = texts(options, path, context)
    return found


def hooks(given: Node, path: Path, context: Context) -> list[Json]:
    return [hook(item) for item in given.sequence()]


def hook(item: Node) -> Json:
    command = item.get("command")
    found = {**filled(item), "command": node.plain(command) if command is not None else None}
    if (environment := item.get("environment")) is not None:
        found["environment"] = node.plain(environment)
    return found


def extra_hosts(given: Node, path: Path, context: Context) -> list[str]:
    """By name, in their order."""
    return sorted((text(item) for item in given.sequence()), key=lambda text: text.partition("=")[0])


def _pairs(given: Node) -> Json:
    """A mapping to text, of either form."""
    if isinstance(given.value, dict):
        return {key: text(child) for key, child in given.value.items()}
    found: Json = {}
    for item in given.sequence():
        name, _, value = text(item).partition("=")
        found[name] = value
    return found
