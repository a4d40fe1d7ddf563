"""What volumes are made of, made as detached mounts before the container's first process is cloned: once in its cgroup, it may
open no disk any more. The child attaches them in its own mount namespace.

Runs in the zygote: the listed stdlib modules only.
"""

import os
from collections.abc import Sequence

from engine import errors
from engine.process import namespaces, syscalls
from engine.process.wire import Bind, Filesystem, Tmpfs, Volume


def trees(mounts: Sequence[Bind | Volume | Tmpfs], home: int = -1) -> dict[str, int]:
    """By the directory of each volume that has a file system of its own. `home`: the machine's network namespace, through which a
    server is reached whatever networks the container has; -1: this process is in it. Raises `EngineError`."""
    backed = {mount.source: mount.filesystem for mount in mounts if isinstance(mount, Volume) and mount.filesystem}
    return {place: _tree(filesystem, home) for place, filesystem in backed.items()}


def _tree(filesystem: Filesystem, home: int) -> int:
    kind, device, attributes, options = filesystem
    try:
        if kind != "bind":
            return _new(filesystem, home)
        tree = syscalls.open_tree(syscalls.AT_FDCWD, device, recursive=True)
        syscalls.mount_setattr(tree, attributes=attributes, propagation=syscalls.MS_PRIVATE, recursive=True)
    except OSError as error:
        shown = ",".join(f"{key}={value}" if value else key for key, value in options)
        what = f"cannot mount {kind} of {device} with options {shown or 'none'}: {error.strerror}"
        raise errors.EngineError(what) from error
    return tree


def _new(filesystem: Filesystem, home: int) -> int:
    """A disk or a share that is mounted already is the same file system."""
    context = _opened(filesystem.kind, home)
    try:
        for key, value in (("source", filesystem.device), *filesystem.options):
            syscalls.fsconfig(context, key, value or None)
        return syscalls.fsmount(context, filesystem.attributes)
    finally:
        os.close(context)


def _opened(kind: str, home: int) -> int:
    """A file system belongs to the network namespace that it is opened in."""
    if home < 0:
        return syscalls.fsopen(kind)
    own = namespaces.of_this_process()
    try:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        try:
            return syscalls.fsopen(kind)
        finally:
            syscalls.setns(own, syscalls.CLONE_NEWNET)
    finally:
        os.close(own)
