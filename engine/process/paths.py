"""Places inside a container's root, found and made by descriptor, whatever links the image has planted.

A path is resolved by the kernel with the root as its root (openat2, RESOLVE_IN_ROOT), never through a magic link of /proc, and
what is missing is made below the descriptor of a directory that was found so. So neither an image nor a neighbour who swaps
directories for links meanwhile gets anything made or mounted outside of the root.

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import os

from engine.process import syscalls

FOLLOW = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
STRICT = FOLLOW | syscalls.RESOLVE_NO_SYMLINKS
LINKS_MAX = 40  # linux/namei.h, MAXSYMLINKS


def find(root: int, path: str, resolve: int = FOLLOW, flags: int = os.O_PATH) -> int:
    """Open what is at `path` inside `root`; O_PATH unless told. Raises `OSError`."""
    return syscalls.openat2(root, path.strip("/") or ".", flags, resolve)


def make_directory(root: int, path: str, resolve: int = FOLLOW) -> int:
    """Give the directory at `path` as O_PATH, made with its parents (0755, root's) where it is missing."""
    return _make(root, path, resolve, True, LINKS_MAX)


def make_file(root: int, path: str, resolve: int = FOLLOW) -> int:
    """Give what is at `path` as O_PATH, an empty file made where nothing is."""
    return _make(root, path, resolve, False, LINKS_MAX)


def _make(root: int, path: str, resolve: int, directory: bool, links: int) -> int:
    flags = os.O_PATH | (os.O_DIRECTORY if directory else 0)
    try:
        return find(root, path, resolve, flags)
    except FileNotFoundError:
        if links == 0:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
    above, _, name = path.strip("/").rpartition("/")
    parent = _make(root, above, resolve, True, links)
    try:
        link = _create(parent, name, directory)
        if link is None:
            return syscalls.openat2(parent, name, flags, syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS)
        if resolve & syscalls.RESOLVE_NO_SYMLINKS:
            raise OSError(errno.ELOOP, "is a symbolic link", path)
    finally:
        os.close(parent)
    return _make(root, link if link.startswith("/") else f"{above}/{link}", resolve, directory, links - 1)


def _create(parent: int, name: str, directory: bool) -> str | None:
    """Make an entry, or give the text of the dangling link that is in its place."""
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
    except FileExistsError:
        try:
            return os.readlink(name, dir_fd=parent)
        except OSError:
            return None  # somebody else has made it meanwhile
    return None
