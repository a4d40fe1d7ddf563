"""Who a container's process is: a spec's `user` looked up in the image's passwd and group, read and parsed by ourselves.

No library of the image is ever loaded for it (glibc's getpwnam would load the image's nss modules into our process), and the
files are an adversary's: only regular files of at most 1 MiB are read, and never waited for.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from engine.process import syscalls

ID_MAX = 2**32 - 2  # 2**32 - 1 means "leave as it is" to setresuid(2)
DATABASE_BYTES_MAX = 1 << 20


class User(NamedTuple):
    """`groups` are all supplementary groups, the primary among them."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class UserError(Exception):
    """A user that cannot be had; the message says why, without saying who."""


class Account(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def read(root: int, path: str) -> bytes:
    """Give the content of a file below the directory `root`, b"" where there is none. Raises `UserError`."""
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = syscalls.openat2(root, path, flags, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise UserError(f"{path} of the image cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} of the image is not a regular file")
        if found.st_size > DATABASE_BYTES_MAX:
            raise UserError(f"{path} of the image is larger than {DATABASE_BYTES_MAX} bytes")
        return os.read(descriptor, DATABASE_BYTES_MAX)
    finally:
        os.close(descriptor)


def find(user: str, passwd: bytes, group: bytes) -> User:
    """Look up "", "name", "uid", "name:group", … ("" is root). A number is always an id, known or not; its primary group is
    that of the account if there is one, else 0. With a group given there are no supplementary groups but it.

    Raises `UserError`.
    """
    who, colon, with_group = user.partition(":")
    if colon and (not with_group or ":" in with_group):
        raise UserError("it is not USER or USER:GROUP")
    number = _id(who) if who else 0
    account = next((it for it in accounts(passwd) if (it.name == who if number is None else it.uid == number)), None)
    if account is None:
        if number is None:
            raise UserError("the image's /etc/passwd does not have it")
        account = Account("", number, 0, "/")
    if with_group:
        gid = _gid(with_group, group)
        return User(account.uid, gid, (gid,), account.home)
    others = [it.gid for it in groups(group) if account.name and account.name in it.members]
    return User(account.uid, account.gid, tuple(dict.fromkeys([account.gid, *others])), account.home)


def with_groups(user: User, wanted: tuple[str, ...], group: bytes) -> User:
    """The user in these supplementary groups too, names or numbers. Raises `UserError`."""
    return user._replace(groups=tuple(dict.fromkeys([*user.groups, *(_gid(name, group) for name in wanted)])))


def within(user: User, ids: int) -> User:
    """The user, if there are so many ids here. Raises `UserError`."""
    beyond = max(user.uid, user.gid, *user.groups)
    if beyond >= ids:
        raise UserError(f"there is no id {beyond} in a user namespace that has {ids} (userns_mode: host has all)")
    return user


def accounts(passwd: bytes) -> Iterator[Account]:
    """Yield the well-formed entries; what is malformed or out of range is nobody."""
    for fields in _entries(passwd, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if fields[0] and uid is not None and gid is not None:
            yield Account(fields[0], uid, gid, fields[5] or "/")


def groups(group: bytes) -> Iterator[Group]:
    for fields in _entries(group, 4):
        gid = _number(fields[2])
        if fields[0] and gid is not None:
            yield Group(fields[0], gid, tuple(name for name in fields[3].split(",") if name))


def _gid(wanted: str, group: bytes) -> int:
    number = _id(wanted)
    if number is not None:
        return number
    for entry in groups(group):
        if entry.name == wanted:
            return entry.gid
    raise UserError(f"the image's /etc/group does not have the group {wanted!r}")


def _entries(database: bytes, width: int) -> Iterator[list[str]]:
    for line in os.fsdecode(database).split("\n"):
        fields = line.split(":")
        if len(fields) == width and not line.startswith("#"):
            yield fields


def _id(text: str) -> int | None:
    """A number, or None for a name. Raises `UserError` for a number that is no id."""
    if not (text.isascii() and text.isdigit()):
        return None
    number = _number(text)
    if number is None:
        raise UserError(f"{text} is larger than {ID_MAX}, the largest id")
    return number


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > ID_MAX:
        return None
    return int(text)
