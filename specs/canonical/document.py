"""The canonical document: what a merged one means, with nothing left to look up.

Paths are absolute, durations are seconds, sizes are bytes, files of variables are read, defaults that other services
depend on are filled in, names are full. It is what the daemon validates.
"""

from __future__ import annotations

from specs.canonical import (
    contents,
    deployment,
    elsewhere,
    folds,
    memory,
    namespaces,
    providers,
    user_namespace,
    values,
    volume_options,
)
from specs.composing import replicas
from specs.context import Context
from specs.errors import Path
from specs.node import Node, text_of


def canonical(document: Node, context: Context) -> Node:
    """The canonical document. Deviations are in the context's findings."""
    services: dict[str, Node] = {}
    userns = user_namespace.default(document, context)
    for name, node in _section(document, "services", context).items():
        services[name] = _service_and_replicas(node, ("services", name), context, userns)
    networks: dict[str, Node] = {}
    for name, node in _section(document, "networks", context).items():
        networks[name] = _network(name, node, ("networks", name), context)
    running = [service for service in services.values() if not providers.is_one(service)]
    bodies = [body for service in running for body in replicas.bodies(service)]
    joined = [body.get("networks", "default") for body in bodies]
    if "default" not in networks and any(node is not None for node in joined):
        place = next(node for node in joined if node is not None)
        networks["default"] = _network("default", place.with_value(None), ("networks", "default"), context)
    volumes: dict[str, Node] = {}
    for name, node in _section(document, "volumes", context).items():
        volumes[name] = _volume(name, node, ("volumes", name), context)
    handed: dict[str, Node] = {}
    for section in contents.SECTIONS:
        entries = _section(document, section, context).items()
        handed[section] = document.with_value(
            {name: contents.canonical(section, name, node, (section, name), context) for name, node in entries}
        )
    return document.with_value(
        {
            "name": document.with_value(context.project_name),
            "services": document.with_value(services),
            "networks": document.with_value(networks),
            "volumes": document.with_value(volumes),
            **handed,
            **({"x-corral": said} if (said := memory.canonical(document, context)) else {}),
        }
    )


def _section(document: Node, key: str, context: Context) -> dict[str, Node]:
    section = document.mapping().get(key)
    if section is not None and section.value is None:
        context.findings.error(section, (key,), "is empty: give it a value or remove it")
    return section.mapping() if section is not None else {}


def _service_and_replicas(node: Node, path: Path, context: Context, userns: Node | None) -> Node:
    """The service, with what each of its replicas is where these differ."""

    def canonical_of(body: Node, where: Path, own: Context) -> Node:
        return _service(body, where, own, userns)

    service = _service(node, path, context, userns)
    if providers.is_one(node):
        return service
    found = replicas.expanded(node, service, path, context, canonical_of)
    return replicas.joined(service, found) if found else service


def _service(node: Node, path: Path, context: Context, userns: Node | None) -> Node:
    if not isinstance(node.value, dict):
        context.findings.error(node, path, "is empty: a service needs an image")
        return node.with_value({})
    if providers.is_one(node):
        return node.with_value(values.convert(providers.of_interest(node, path, context), path, context))
    fields = values.convert(node.value, path, context)
    elsewhere.build(fields, path, context)
    if not text_of(node, "image") and node.get("build") is None:
        context.findings.error(node, path, "a service needs an image")
    deployment.fold(fields, path, context)
    folds.limits(fields, path, context)
    folds.labels(fields, path, context)
    folds.environment(fields, path, context)
    folds.dependencies(fields, path)
    folds.networks(fields, node, path, context)
    namespaces.note_what_is_idle(fields, path, context)
    user_namespace.fold(fields, userns)
    return node.with_value(fields)


def _network(name: str, node: Node, path: Path, context: Context) -> Node:
    fields = _resource(name, node, path, context)
    _driver(fields, path, context)
    if "driver_opts" in fields:
        fields["driver_opts"] = values.option_texts(fields["driver_opts"])
    ipam = fields.get("ipam")
    if ipam is not None:
        _only(dict(ipam.mapping()), "driver", "default", (*path, "ipam"), context)
        pools = ipam.get("config")
        items = [_pool(pool) for pool in _items(pools)]
        options = ipam.get("options")
        if options is not None and options.mapping():
            context.findings.note(options, (*path, "ipam", "options"), "the driver 'default' has no options")
        driver = {key: child for key, child in ipam.mapping().items() if key == "driver" and child.value is not None}
        fields["ipam"] = ipam.with_value({**driver, "config": (pools or ipam).with_value(items)})
    return node.with_value(fields)


def _pool(pool: Node) -> Node:
    return pool.with_value({key: child for key, child in pool.mapping().items() if child.value is not None})


_DRIVERS = ("bridge", "default", "host", "none")
_OTHER_DRIVERS = {
    "overlay": "its networks span machines, and corral is one machine's",
    "macvlan": "its members would be machines of your network, past corral's names, ports and isolation",
    "ipvlan": "its members would be machines of your network, past corral's names, ports and isolation",
}


def _driver(fields: dict[str, Node], path: Path, context: Context) -> None:
    node = fields.get("driver")
    if node is not None and node.value not in _DRIVERS:
        why = _OTHER_DRIVERS.get(str(node.value), "corral has no plugins")
        message = f"the driver '{node.value}' is not supported: {why}"
        context.findings.error(node, (*path, "driver"), message, f"there are {', '.join(_DRIVERS)}")


def _volume(name: str, node: Node, path: Path, context: Context) -> Node:
    fields = _resource(name, node, path, context)
    _only(fields, "driver", "local", path, context)
    if (options := fields.get("driver_opts")) is not None:
        fields["driver_opts"] = volume_options.canonical(options, (*path, "driver_opts"), context)
    replicas.check_each(fields, path, context)
    return node.with_value(fields)


def _resource(name: str, node: Node, path: Path, context: Context) -> dict[str, Node]:
    """The fields of a network or volume, with its full name; an external one has no other."""
    fields = {key: child for key, child in node.mapping().items() if child.value is not None}
    external = fields.get("external")
    is_external = external is not None and external.value is True
    if external is not None and is_external:
        for key in fields.keys() - {"name", "external"}:
            message = f"{key} cannot be given for what is external: who made it has said it"
            context.findings.error(fields[key], (*path, key), message)
    default = name if is_external else f"{context.project_name}_{name}"
    return {"name": fields.pop("name", node.with_value(default)), **fields}


def _only(fields: dict[str, Node], key: str, supported: str, path: Path, context: Context) -> None:
    node = fields.get(key)
    if node is not None and node.value != supported:
        message = f"the {key} '{node.value}' is not supported: corral has no plugins, and {supported} of its own"
        context.findings.error(node, (*path, key), message)


def _items(node: Node | None) -> list[Node]:
    return node.sequence() if node is not None else []
