"""Where a value of the project came from: `config --explain PATH`.

The files are made one again with a history: each document that was laid over what was before. A value is that of the last layer
that says it; those below are what it replaced. What no file says follows from the rest, and `implied` says from what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from specs import errors, local_files, node
from specs.composing import merge
from specs.errors import Path
from specs.files import dotenv, interpolation, surroundings
from specs.history import History, Layer
from specs.node import Node, Place
from specs.telling import implied

THE_NAME = "the project's name"


class Used(NamedTuple):
    """A variable that was filled in, and where its value is from."""

    name: str
    value: str
    source: str


class Origin(NamedTuple):
    """Where something is said. `step`: how that came to count; `written`: with its variables, where it has any."""

    place: Place
    value: Any
    step: str = ""
    written: str = ""
    variables: tuple[Used, ...] = ()


class Explained(NamedTuple):
    """`origins`: the last is where the value is from, those before it were replaced, the lowest first; none: no file says it, and
    `implied` is why it is so."""

    path: Path
    value: Any
    origins: tuple[Origin, ...] = ()
    implied: str = ""


class Sources(NamedTuple):
    """`document` is the project's normal form, `root` all files in one. `environment`: the shell's.
    `given_name`: the command line's for the project."""

    document: Mapping[str, Any]
    root: Node
    history: History
    environment: Mapping[str, str]
    variables: Mapping[str, str]
    directory: str
    cwd: str
    given_name: str = ""


def explain(text: str, sources: Sources) -> list[Explained]:
    """What the path names; of a mapping or a list all that is in it. Raises SpecErrors where it names nothing."""
    path, value = _resolved(text, sources)
    return [_explained(path + below, leaf, sources) for below, leaf in _leaves(value)]


def _resolved(text: str, sources: Sources) -> tuple[Path, Any]:
    """Keys may have dots in them: the longest that fits is meant."""
    value: Any = sources.document
    path: Path = ()
    rest = text.strip()
    while rest:
        part, child, length = _step(rest, value)
        if length == 0:
            raise errors.SpecErrors([_no_such(text, path, rest, value, sources)])
        path, value, rest = (*path, part), child, rest[length:].removeprefix(".")
    return path, value


def _step(rest: str, value: Any) -> tuple[str | int, Any, int]:
    """The next part, what is there, and how long it is; 0: there is nothing."""
    if isinstance(value, dict):
        keys = [key for key in value if rest == key or rest.startswith((f"{key}.", f"{key}["))]
        key = max(keys, key=len, default="")
        return (key, value[key], len(key)) if key else ("", None, 0)
    index, bracket, _ = rest.removeprefix("[").partition("]")
    if isinstance(value, list) and rest.startswith("[") and bracket and index.isdecimal() and int(index) < len(value):
        return int(index), value[int(index)], len(index) + 2
    return "", None, 0


def _no_such(text: str, path: Path, rest: str, value: Any, sources: Sources) -> errors.SpecError:
    where = errors.dotted(path)
    for layer in reversed(sources.history.layers):
        for dropped in layer.dropped:
            if errors.dotted(dropped) == text:
                place = node.place_of(layer.document, dropped)
                return errors.SpecError((), f"{text} was taken away", *place, hint="by !reset, of what was said before")
    if isinstance(value, dict):
        known = ", ".join(sorted(map(str, value)))
        close = errors.did_you_mean(rest.partition(".")[0], [str(key) for key in value])
        hint = close or (f"there are {known}" if len(known) < 200 else "")
    else:
        hint = (
            f"it has {len(value)} items, [0] is the first" if isinstance(value, list) else "there is nothing below it"
        )
    return errors.SpecError((), f"there is no {rest} in {where or 'the project'}", hint=hint)


def _leaves(value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from (((key, *below), leaf) for below, leaf in _leaves(child))
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from (((index, *below), leaf) for below, leaf in _leaves(child))
    else:
        yield (), value


# ---------------------------------------------------------------------------------------------------------- one value


def _explained(path: Path, value: Any, sources: Sources) -> Explained:
    found = _at(sources.root, path)
    if path == ("name",) and (found is None or surroundings.normalised(str(found.value)) != value):
        return Explained(path, value, (), _of_name(sources))
    if found is not None:
        said = [origin for layer in sources.history.layers if (origin := _origin(layer, path, sources))]
        counting = [origin for origin in said if origin.place == found.place]
        before = [origin for origin in said if origin not in counting]
        return Explained(path, value, (*before, *counting))
    if (of_file := _of_env_file(path, value, sources)) is not None:
        return Explained(path, value, (of_file,))
    return Explained(path, value, (), implied.why(path, sources.root))


def _of_name(sources: Sources) -> str:
    """Why the project is not called as a file says."""
    if sources.given_name:
        return "-p"
    source = source_of(surroundings.NAME_VARIABLE, sources.variables, sources)
    return "the name of the folder" if source == THE_NAME else f"{surroundings.NAME_VARIABLE}, {source}"


def _origin(layer: Layer, path: Path, sources: Sources) -> Origin | None:
    child = _in_layer(layer.document, path, sources.root)
    if child is None:
        return None
    written = sources.history.written.get(child.place, "")
    used = tuple(_used(written, layer.variables, sources))
    if child.value is None and len(path) == 4 and path[2] == "environment":
        name = str(path[3])
        used = (Used(name, layer.variables.get(name, ""), source_of(name, layer.variables, sources)),)
    return Origin(child.place, node.plain(child), layer.step, written, used)


def _in_layer(document: Node, path: Path, root: Node) -> Node | None:
    """What the layer says there. An item of a list is found by its place, or by what makes it the same item to merging."""
    here: Node | None = document
    whole: Node | None = root
    for position, part in enumerate(path):
        if here is None:
            return None
        wanted = _child(whole, part) if whole is not None else None
        here = _same_item(here, wanted, path[:position]) if isinstance(part, int) else here.mapping().get(part)
        whole = wanted
    return here


def _same_item(items: Node, wanted: Node | None, path: Path) -> Node | None:
    if wanted is None:
        return None
    key = merge.key_of(path)
    for item in items.sequence():
        if item.place == wanted.place or (key is not None and key(item) == key(wanted)):
            return item
    return None


def _at(root: Node, path: Path) -> Node | None:
    here: Node | None = root
    for part in path:
        here = _child(here, part) if here is not None else None
    return here


def _child(parent: Node, part: str | int) -> Node | None:
    if isinstance(part, int):
        items = parent.sequence()
        return items[part] if part < len(items) else None
    return parent.mapping().get(part)


# ---------------------------------------------------------------------------------------------------------- variables


def _used(written: str, variables: Mapping[str, str], sources: Sources) -> Iterator[Used]:
    for name, operator, right in interpolation.variables(written):
        value = variables.get(name)
        is_there = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("-") and not is_there:
            yield Used(name, right, f"is {'empty' if value == '' else 'not set'}: the default that the file gives")
            yield from _used(right, variables, sources)
        else:
            yield Used(name, value or "", source_of(name, variables, sources))


def source_of(name: str, variables: Mapping[str, str], sources: Sources) -> str:
    """Where a variable's value is from."""
    if name not in variables:
        return "is not set: an empty text stands for it"
    if name in sources.environment:
        return "of the shell"
    for file in reversed(sources.history.env_files):
        if line := _line_of(name, file):
            return f"{surroundings.shown(file, sources.cwd)}:{line}"
    return THE_NAME if name == surroundings.NAME_VARIABLE else "of the surroundings"


def _line_of(name: str, file: str) -> int:
    try:
        return dotenv.lines(local_files.text(file)).get(name, 0)
    except (OSError, UnicodeDecodeError):
        return 0


def _of_env_file(path: Path, value: Any, sources: Sources) -> Origin | None:
    """A variable that no file of the project says, but one of `env_file`, the last that does."""
    if len(path) != 4 or path[0] != "services" or path[2] not in ("environment", "labels"):
        return None
    key = "env_file" if path[2] == "environment" else "label_file"
    given = _at(sources.root, (*path[:2], key))
    for item in reversed(given.sequence() if given is not None else []):
        name = str(item.value) if not item.mapping() else node.text_of(item, "path")
        file = surroundings.absolute(sources.directory, name)
        if line := _line_of(str(path[3]), file):
            step = f"{key} of {_shown(item.place)}"
            return Origin((surroundings.shown(file, sources.cwd), line, 1), value, step)
    return None


def _shown(place: Place) -> str:
    return f"{place[0]}:{place[1]}:{place[2]}"
