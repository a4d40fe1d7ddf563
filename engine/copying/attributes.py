"""Extended attributes in a tar stream: PAX records SCHILY.xattr.NAME, as tar --xattrs and dockerd write them.

Kept are those of users (`user.*`) and the capabilities of a program. Others mean something to the machine alone, or to one file
system.
"""

import errno
import os
import tarfile
from collections.abc import Iterator

PREFIX = "SCHILY.xattr."
USERS = "user."
CAPABILITY = "security.capability"
BYTES_MAX = 1 << 20
"""Of one file's: a file system may have room for more."""

_REVISION_2, _REVISION_3, _BYTES_2 = 2, 3, 20
"""linux/capability.h, struct vfs_cap_data: its fourth byte is the revision."""

_CANNOT = (errno.ENOTSUP, errno.EPERM)


def read(descriptor: int) -> tuple[dict[str, str], str]:
    """What belongs into the PAX header of an open file or directory; and why not all of it does, "" if it does."""
    found: dict[str, str] = {}
    left, why = BYTES_MAX, ""
    for name in _names(descriptor):
        value = _value(descriptor, name)
        left -= len(name) + len(value)
        if left < 0:
            return found, f"its extended attributes are more than {BYTES_MAX >> 20} MiB"
        if "=" in name:
            why = f"tar has no form for its attribute {name}"
        elif value or name.startswith(USERS):
            found[PREFIX + name] = value.decode("utf-8", "surrogateescape")
    return found, why


def write(descriptor: int, member: tarfile.TarInfo, *, capabilities: bool) -> str:
    """Give an open file or directory what the stream says of it; `capabilities`: also those of a program. Why not all could be
    given, "" if it could, or this file system, or whoever runs this, has no attributes at all."""
    for key, text in member.pax_headers.items():
        name = key.removeprefix(PREFIX)
        if name == key or not (name.startswith(USERS) or (name == CAPABILITY and capabilities)):
            continue
        try:
            os.setxattr(descriptor, name, text.encode("utf-8", "surrogateescape"))
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) not in _CANNOT:
                return f"its attribute {name} cannot be kept: {getattr(error, 'strerror', None) or error}"
    return ""


def _names(descriptor: int) -> Iterator[str]:
    try:
        names = os.listxattr(descriptor)
    except OSError:
        return  # this file system has none
    yield from (name for name in sorted(names) if name.startswith(USERS) or name == CAPABILITY)


def _value(descriptor: int, name: str) -> bytes:
    try:
        value = os.getxattr(descriptor, name)
    except OSError:
        return b""  # it has gone meanwhile, or is of another user namespace
    if name == CAPABILITY and value[3:4] == bytes([_REVISION_3]):
        # moby/go-archive: whose root it is means nothing elsewhere
        return value[:3] + bytes([_REVISION_2]) + value[4:_BYTES_2]
    return value
