"""`volumes` of a service, canonical: each mount in its long form, with what Compose gives for what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping

from specs.canonical import elsewhere, quantities
from specs.composing import mounts
from specs.context import Context
from specs.errors import Path
from specs.node import Node, text_of


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    return node.with_value([_mount(item, (*path, i), context) for i, item in enumerate(node.sequence())])


def _mount(item: Node, path: Path, context: Context) -> Node:
    fields = {key: child for key, child in item.mapping().items() if child.value is not None}
    kind, source = text_of(item, "type"), text_of(item, "source")
    for key in ("bind", "volume", "tmpfs", "image"):
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
        case "image":
            _image_mount(fields, item, path, context)
        case "npipe" | "cluster":
            context.findings.error(fields["type"], (*path, "type"), elsewhere.MOUNTS[kind])
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


def _image_mount(fields: dict[str, Node], item: Node, path: Path, context: Context) -> None:
    """What an image holds, or the part at `subpath`, read-only, as a bind of it."""
    source = fields.get("source", item)
    scheme, _, folder = text_of(item, "source").partition("rootfs:")
    if scheme or not folder:
        message = f"'{text_of(item, 'source')}' is no image whose content could be mounted: rootfs:/a/directory"
        context.findings.error(source, (*path, "source"), message)
        return
    part = fields.pop("image", item)
    subpath = text_of(part, "subpath")
    if ".." in subpath.split("/"):
        message = f"'{subpath}' is not a path inside the image"
        context.findings.error(part.mapping()["subpath"], (*path, "image", "subpath"), message)
    fields["type"] = item.with_value("bind")
    fields["source"] = source.with_value(context.absolute(f"{folder}/{subpath}"))
    fields["read_only"] = item.with_value(True)
    fields["bind"] = item.with_value({"create_host_path": item.with_value(False)})


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
        number = quantities.size(limit, (*path, "tmpfs", "size"), context)
        options |= {"size": number} if number is not None else {}
    mode = options.get("mode")
    if mode is not None and isinstance(mode.value, str):
        try:
            options["mode"] = mode.with_value(int(mode.value, 8))
        except ValueError:
            context.findings.error(mode, (*path, "tmpfs", "mode"), f"'{mode.value}' is not an octal mode")
    fields["tmpfs"] = fields["tmpfs"].with_value(options)
