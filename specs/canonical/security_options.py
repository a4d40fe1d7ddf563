"""`security_opt`: one text an option, KEY or KEY=VALUE (or KEY:VALUE), of which the last with a key counts.

    no-new-privileges:true     seccomp=unconfined     seccomp=FILE     systempaths=unconfined
    apparmor=PROFILE           corral:strict

Canonical, a seccomp profile is the content of its file, which is read with the rights of whoever runs the command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from specs import local_files
from specs.context import Context
from specs.errors import Path, SpecError
from specs.node import Node
from specs.patterns import pattern

UNCONFINED = "unconfined"
_OPTION = pattern(r"([a-z-]+)(?:[=:](.*))?", re.DOTALL)
_KEYS = ("no-new-privileges", "seccomp", "systempaths", "label", "apparmor", "corral")
_PROFILE_BYTES_MAX = 1 << 20
_APPARMOR_LETTERS_MAX = 255


class Options(NamedTuple):
    """`seccomp`: "" is the default profile, else "unconfined" or a profile's JSON. `unmasked`: no file of the kernel's is
    hidden. `strict`: see `isolation`. `apparmor`: the name of a profile that the machine has loaded, "" is none."""

    no_new_privileges: bool = False
    seccomp: str = ""
    unmasked: bool = False
    strict: bool = False
    apparmor: str = ""


def parse(texts: tuple[str, ...]) -> Options:
    """What canonical options say together. Raises ValueError."""
    options = Options()
    for text in texts:
        options = _with(options, text)
    return options


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    """One option a key, with the content of files in place of their names."""
    found: dict[str, Node] = {}
    for index, item in enumerate(node.sequence()):
        text = str(item.value)
        key, value = _split(text)
        if key == "seccomp" and value not in ("", UNCONFINED, "builtin") and not value.startswith("{"):
            file = context.absolute(value)
            try:
                text = f"seccomp={_compact(_content(file))}"
            except (OSError, ValueError) as error:
                why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
                context.findings.error(item, (*path, index), f"cannot read the seccomp profile {file}: {why}")
                continue
        elif key == "no-new-privileges":
            text = f"{key}:{value or 'true'}"
        found[key] = item.with_value(text)
    return node.with_value([*found.values()]) if found else None


def key_of(text: str) -> str:
    return _split(text)[0]


def is_strict(text: str) -> bool:
    return _split(text) == ("corral", "strict")


def problems(texts: tuple[str, ...], path: Path) -> Iterator[SpecError]:
    for index, text in enumerate(texts):
        try:
            _with(Options(), text)
        except ValueError as error:
            yield SpecError((*path, index), str(error))


def _split(text: str) -> tuple[str, str]:
    match = _OPTION.fullmatch(text.strip())
    return (match[1], match[2] or "") if match else ("", "")


def _with(options: Options, text: str) -> Options:
    key, value = _split(text)
    match key, value:
        case "no-new-privileges", "true" | "false":
            return options._replace(no_new_privileges=value == "true")
        case "no-new-privileges", _:
            raise ValueError(f"'{value}' is neither true nor false")
        case "seccomp", "builtin":
            return options._replace(seccomp="")
        case "seccomp", "unconfined":
            return options._replace(seccomp=value)
        case "seccomp", _ if value.startswith("{"):
            return options._replace(seccomp=_compact(value))
        case "seccomp", _:
            raise ValueError(f"'{value}' is no seccomp profile: unconfined, builtin or a file")
        case "systempaths", "unconfined":
            return options._replace(unmasked=True)
        case "systempaths", _:
            raise ValueError(f"'{value}' is not supported: systempaths=unconfined")
        case "corral", "strict":
            return options._replace(strict=True)
        case "corral", _:
            raise ValueError(f"'{value}' is not a profile of corral's: corral:strict")
        case "apparmor", _:
            return options._replace(apparmor=_apparmor(value))
        case "label", "disable":
            return options
        case "label", _:
            raise ValueError(
                f"label={value} is not supported: corral applies no such profile (label=disable is how every container runs)"
            )
    raise ValueError(f"'{text}' is not a security option: {', '.join(_KEYS)}")


def _apparmor(profile: str) -> str:
    """Raises ValueError for what cannot be the name of a profile: a line of words for the kernel is made of it."""
    if profile == UNCONFINED:
        return ""
    if not profile.isprintable() or profile != profile.strip() or not 0 < len(profile) <= _APPARMOR_LETTERS_MAX:
        raise ValueError(f"{profile!r} is not the name of an AppArmor profile: one that is loaded, or unconfined")
    return profile


def _content(file: str) -> str:
    content = local_files.content(file, _PROFILE_BYTES_MAX + 1)
    if len(content) > _PROFILE_BYTES_MAX:
        raise ValueError(f"it is larger than {_PROFILE_BYTES_MAX} bytes")
    return content.decode("utf-8-sig")


def _compact(text: str) -> str:
    """A profile without its white space. Raises ValueError for what is none."""
    try:
        profile = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg}, line {error.lineno}") from None
    if not isinstance(profile, dict) or not isinstance(profile.get("defaultAction"), str):
        raise ValueError("it has no defaultAction")
    return json.dumps(profile, separators=(",", ":"))
