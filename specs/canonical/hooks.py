"""`post_start`, `pre_stop`, `pre_start` and `x-corral.leave`: commands around a container's start and stop."""

from __future__ import annotations

from specs import units
from specs.context import Context
from specs.errors import Path
from specs.node import Node


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    """Of post_start and pre_stop."""
    return _each(node, path, context, needs_command=True)


def canonical_init(node: Node, path: Path, context: Context) -> Node | None:
    """Of pre_start, whose command may be its image's."""
    return _each(node, path, context, needs_command=False)


def canonical_leave(node: Node, path: Path, context: Context) -> Node | None:
    """Of x-corral.leave."""
    said = _hook(node, path, context, needs_command=True)
    timeout = said.get("timeout")
    if timeout is None:
        return said
    try:
        seconds = units.parse_duration(str(timeout.value))
        if seconds <= 0:
            raise ValueError(f"'{timeout.value}' leaves it no time")
    except ValueError as error:
        context.findings.error(timeout, (*path, "timeout"), str(error))
        return None
    return said.with_value({**said.mapping(), "timeout": timeout.with_value(seconds)})


def _each(node: Node, path: Path, context: Context, *, needs_command: bool) -> Node | None:
    items = [_hook(item, (*path, index), context, needs_command) for index, item in enumerate(node.sequence())]
    return node.with_value([*items]) if items else None


def _hook(item: Node, path: Path, context: Context, needs_command: bool) -> Node:
    fields = {key: child for key, child in item.mapping().items() if child.value is not None}
    command = fields.get("command")
    if (needs_command or "image" not in fields) and (command is None or not command.sequence()):
        context.findings.error(command or item, path, "a hook needs a command")
    if (image := fields.get("image")) is not None:
        fields["image"] = context.image(image, (*path, "image"))
    if (variables := fields.get("environment")) is not None:
        fields["environment"] = variables.with_value(_given(variables, context))
    return item.with_value(fields)


def _given(variables: Node, context: Context) -> dict[str, Node]:
    """A name without a value takes the shell's; one that has none there is left as the container has it."""
    found = {}
    for name, child in variables.mapping().items():
        if child.value is not None:
            found[name] = child
        elif name in context.variables:
            found[name] = child.with_value(context.variables[name])
    return found
