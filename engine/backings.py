"""What a volume is made of where it is no directory of our own.

The options are read as mount(8) and Docker's driver local do: those that say how it is mounted become attributes of the mount,
the rest is the file system's own business. A server's name is looked up here, because the kernel knows addresses only.
"""

import os
import socket

from engine import errors
from engine.process import syscalls, wire
from engine.types.configs import VolumeConfig

TMPFS, BIND = "tmpfs", "bind"
ATTRIBUTES = {  # linux/mount.h, in mount(8)'s words
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
    "noatime": 0x10,
    "strictatime": 0x20,
    "nodiratime": 0x80,
}
CLEARED = {"suid": "nosuid", "dev": "nodev", "exec": "noexec", "atime": "noatime", "diratime": "nodiratime"}
IGNORED = ("rw", "defaults", "relatime", "async", "auto", "noauto", "user", "nouser", "users", "_netdev", "nofail")


def check(config: VolumeConfig) -> None:
    """Raises `TerminalEngineError` for what can be known not to work here."""
    kind, device = config.backing.kind, config.backing.device
    if not kind:
        return
    if kind == BIND and not os.path.isdir(device):
        raise errors.TerminalEngineError(f"cannot create volume {config.name}: there is no directory {device}")
    if kind not in (BIND, TMPFS):
        _check_kind(config)
        if device.startswith("/") and not os.path.exists(device):
            raise errors.TerminalEngineError(f"cannot create volume {config.name}: there is no device {device}")


def _check_kind(config: VolumeConfig) -> None:
    """The kernel loads a module for it, where there is one."""
    kind = config.backing.kind
    try:
        os.close(syscalls.fsopen(kind))
    except OSError as error:
        why = f"this machine's kernel has no file system {kind}, nor a module for it (modprobe {kind})"
        raise errors.TerminalEngineError(f"cannot create volume {config.name}: {why}") from error


def filesystem_of(config: VolumeConfig) -> wire.Filesystem:
    """Blocks while a name is looked up. Raises `EngineError`."""
    attributes = 0
    options: list[tuple[str, str]] = []
    for word in config.backing.options:
        key, _, value = word.partition("=")
        if word in ATTRIBUTES:
            attributes |= ATTRIBUTES[word]
        elif word in CLEARED:
            attributes &= ~ATTRIBUTES[CLEARED[word]]
        elif word == "ro":
            attributes |= syscalls.MOUNT_ATTR_RDONLY
            options += [("ro", "")] if config.backing.kind != BIND else []
        elif word not in IGNORED:
            options.append((key, _address(config, value) if key == "addr" else value))
    return wire.Filesystem(config.backing.kind, config.backing.device, attributes, tuple(options))


def _address(config: VolumeConfig, name: str) -> str:
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise errors.EngineError(f"cannot mount volume {config.name}: nobody knows the address of {name}") from error


def mount_tmpfs(config: VolumeConfig, path: str) -> None:
    """Mount it at `path` of the machine. Raises `TerminalEngineError`."""
    _, _, attributes, options = filesystem_of(config)
    context = syscalls.fsopen(TMPFS)
    try:
        for key, value in (("source", "corral"), *options):
            syscalls.fsconfig(context, key, value or None)
        tree = syscalls.fsmount(context, attributes)
    except OSError as error:
        what = f"cannot create volume {config.name}: tmpfs with options {','.join(config.backing.options)}"
        raise errors.TerminalEngineError(f"{what}: {error.strerror}") from error
    finally:
        os.close(context)
    place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.move_mount(tree, place)
    finally:
        os.close(tree)
        os.close(place)
