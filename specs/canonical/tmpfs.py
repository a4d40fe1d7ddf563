"""The text form of a tmpfs: "/path" or "/path:size=64m,mode=1770,uid=1,gid=1,ro,noexec"."""

from dataclasses import dataclass

from specs import units

_IGNORED = {"rw", "exec", "nosuid", "nodev"}  # what a tmpfs of ours is anyway
_NUMBERS = {"uid": 10, "gid": 10, "mode": 8}


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """One tmpfs, spelled out. `size_bytes` None: no limit of its own."""

    target: str
    size_bytes: int | None = None
    mode: int = 0o1777  # docker, "tmpfs": world-writable, sticky
    uid: int = 0
    gid: int = 0
    read_only: bool = False
    no_exec: bool = False


def parse(text: str) -> Tmpfs:
    """The tmpfs that the text describes. Raises ValueError that says which option is wrong."""
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        raise ValueError(f"'{target}' is not an absolute path")
    size_bytes: int | None = None
    numbers = {"mode": 0o1777, "uid": 0, "gid": 0}
    flags = set()
    for option in filter(None, options.split(",")):
        key, equals, value = option.partition("=")
        if key == "size" and equals:
            size_bytes = units.parse_bytes(value)
        elif key in _NUMBERS and equals:
            numbers[key] = _number(option, value, _NUMBERS[key])
        elif key in ("ro", "noexec") and not equals:
            flags.add(key)
        elif key not in _IGNORED or equals:
            raise ValueError(f"tmpfs option '{option}' is not supported")
    return Tmpfs(
        target=target,
        size_bytes=size_bytes,
        read_only="ro" in flags,
        no_exec="noexec" in flags,
        **numbers,
    )


def _number(option: str, value: str, base: int) -> int:
    try:
        return int(value, base)
    except ValueError:
        raise ValueError(f"tmpfs option '{option}' is not a number") from None
