"""What several keys of a service say together, folded into one: limits and scale, environment and its files, and the
dependencies that other keys imply."""

from __future__ import annotations

from specs import local_files
from specs.canonical import namespaces, quantities
from specs.composing.replicas import MOST
from specs.context import Context
from specs.errors import Path, SpecError
from specs.files import dotenv
from specs.node import Node


def limits(fields: dict[str, Node], path: Path, context: Context) -> None:
    """`deploy` is folded into scale, cpus, mem_limit and pids_limit. Both given must be equal, as in compose-go."""
    deploy = fields.pop("deploy", None)
    replicas = deploy.get("replicas") if deploy is not None else None
    scale = fields.get("scale")
    if scale is not None and replicas is not None and scale.value != replicas.value:
        message = f"scale is {scale.value}, but deploy.replicas is {replicas.value}"
        context.findings.error(scale, (*path, "scale"), message, "give one of them")
    if scale is None and replicas is not None:
        fields["scale"] = replicas
    if "scale" in fields and isinstance(fields["scale"].value, int) and fields["scale"].value < 0:
        context.findings.error(fields["scale"], (*path, "scale"), f"{fields['scale'].value} is less than 0")
    if "scale" in fields and isinstance(fields["scale"].value, int) and fields["scale"].value > MOST:
        message = f"{fields['scale'].value} replicas are more than a machine has room for: {MOST} at most"
        context.findings.error(fields["scale"], (*path, "scale"), message)
    given = deploy.get("resources", "limits") if deploy is not None else None
    if given is not None:
        where = (*path, "deploy", "resources", "limits")
        for key, limit, convert in _LIMITS:
            child = given.get(limit)
            value = convert(child, (*where, limit), context) if child is not None else None
            _fold(fields, key, value, path, f"deploy.resources.limits.{limit}", context)


_LIMITS = (
    ("cpus", "cpus", quantities.cpus),
    ("mem_limit", "memory", quantities.size),
    ("pids_limit", "pids", quantities.pids),
)


def _fold(fields: dict[str, Node], key: str, value: Node | None, path: Path, other: str, context: Context) -> None:
    own = fields.get(key)
    if own is None:
        if value is not None:
            fields[key] = value
    elif value is None or value.value != own.value:
        shown = "not set" if value is None else value.value
        message = f"{key} is {own.value}, but {other} is {shown}"
        context.findings.error(own, (*path, key), message, "give the limits in one of the two places")


def environment(fields: dict[str, Node], path: Path, context: Context) -> None:
    """Values for names without one, and below them what the files of `env_file` say. Names without any value go."""
    found = variables(fields, path, context)
    own, files = fields.pop("environment", None), fields.pop("env_file", None)
    place = own or files
    said = own.mapping() if own is not None else {}
    if (nameless := found.pop("", None)) is not None:
        context.findings.error(nameless, (*path, "environment"), "a variable has no name")
    valued = {name: child for name, child in found.items() if child.value is not None}
    if valued and place is not None:
        fields["environment"] = place.with_value(valued)
        if of_files := [place.with_value(name) for name in valued if name not in said]:
            fields["file_variables"] = place.with_value(of_files)


def variables(fields: dict[str, Node], path: Path, context: Context) -> dict[str, Node]:
    """What `environment` and `env_file` say together; null where a name has no value anywhere."""
    own, files = fields.get("environment"), fields.get("env_file")
    if path[1] in context.inactive:
        files = None
    known = dict(own.mapping()) if own is not None else {}
    for name, child in known.items():
        if child.value is None and name in context.variables:
            known[name] = child.with_value(context.variables[name])
    given = {name: str(child.value) for name, child in known.items() if child.value is not None}
    found: dict[str, Node] = {}
    for index, item in enumerate(files.sequence() if files is not None else []):
        read = _file(item, (*path, "env_file", index), given, context)
        found |= {name: item.with_value(text) for name, text in read.items()}
    return found | known


def labels(fields: dict[str, Node], path: Path, context: Context) -> None:
    """`labels`, and below them what the files of `label_file` say, the later ones above the earlier."""
    files, own = fields.pop("label_file", None), fields.get("labels")
    if path[1] in context.inactive:
        files = None
    found: dict[str, Node] = {}
    for index, item in enumerate(files.sequence() if files is not None else []):
        if (text := _text(item, (*path, "label_file", index), context, "label")) is not None:
            found |= {name: item.with_value(value) for name, value in _parsed(text, item, path, context).items()}
    place = own or files
    if found and place is not None:
        fields["labels"] = place.with_value(found | (dict(own.mapping()) if own is not None else {}))


def _parsed(text: str, item: Node, path: Path, context: Context) -> dict[str, str]:
    try:
        return dotenv.parse(text, {})
    except dotenv.DotenvError as error:
        context.findings.errors.append(SpecError(path, str(error), context.absolute(str(item.value)), error.line, 1))
        return {}


def _text(item: Node, path: Path, context: Context, kind: str) -> str | None:
    """What is in a file, read with the rights of whoever runs this."""
    file = context.absolute(str(item.value))
    try:
        return local_files.text(file)
    except FileNotFoundError:
        context.findings.error(item, path, f"the {kind} file {file} does not exist")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        context.findings.error(item, path, f"cannot read the {kind} file {file}: {reason}")
    return None


def _file(item: Node, path: Path, given: dict[str, str], context: Context) -> dict[str, str]:
    """The variables of one file, read with the rights of whoever runs this."""
    where, kind = item.get("path"), item.get("format")
    if where is None:
        context.findings.error(item, path, "path is missing")
        return {}
    if kind is not None and kind.value != "raw":
        context.findings.error(kind, (*path, "format"), f"'{kind.value}' is not a format: raw, or leave it out")
    required = item.get("required")
    file = context.absolute(str(where.value))
    try:
        text = local_files.text(file)
    except FileNotFoundError:
        if required is None or required.value is True:
            context.findings.error(where, path, f"the env file {file} does not exist", "or say required: false")
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        context.findings.error(where, path, f"cannot read the env file {file}: {reason}")
        return {}
    try:
        parse = dotenv.parse_raw if kind is not None else dotenv.parse
        return parse(text, {**given, **context.variables})
    except dotenv.DotenvError as error:
        context.findings.errors.append(SpecError(path, str(error), file, error.line, 1))
        return {}


def dependencies(fields: dict[str, Node], path: Path) -> None:
    """links, volumes_from and the namespaces of other services imply depends_on (compose-go loader/normalize.go)."""
    have = fields.get("depends_on")
    found = dict(have.mapping()) if have is not None else {}
    for key in namespaces.KEYS:
        node = fields.get(key)
        if node is not None and (name := namespaces.service_of(str(node.value))) and name not in found:
            found[name] = _implied(node, restart=True, implied=True)
    for key, restart in (("links", True), ("volumes_from", False)):
        for item in fields[key].sequence() if key in fields else []:
            name = str(item.value).partition(":")[0]
            is_service = not str(item.value).startswith(namespaces.CONTAINER) or key == "links"
            if is_service and name not in found:
                found[name] = _implied(item, restart=restart)
    if found:
        fields["depends_on"] = (have or next(iter(found.values()))).with_value(found)


def _implied(place: Node, **more: bool) -> Node:
    fields = {"condition": place.with_value("service_started"), "required": place.with_value(True)}
    return place.with_value({**fields, **{key: place.with_value(value) for key, value in more.items()}})


def networks(fields: dict[str, Node], place: Node, path: Path, context: Context) -> None:
    """A service is joined to the default network unless it says otherwise; network_mode bridge says the same."""
    mode, joined = fields.get("network_mode"), fields.get("networks")
    if mode is not None and joined is not None and joined.mapping():
        context.findings.error(mode, (*path, "network_mode"), "cannot be given together with networks")
        return
    if mode is not None and mode.value != "bridge":
        fields.pop("networks", None)
        ports = None if namespaces.is_joined(str(mode.value)) else fields.pop("ports", None)
        if ports is not None and ports.sequence():
            context.findings.note(ports, (*path, "ports"), f"nothing is mapped with network_mode {mode.value}")
        return
    fields.pop("network_mode", None)
    if joined is None or not joined.mapping():
        source = mode or joined or place
        empty: dict[str, Node] = {}
        fields["networks"] = source.with_value({"default": source.with_value(empty)})
