"""The device nodes of this machine that a container has beside everybody's, and the numbers that it may open.

Looked up at every start: what is behind a path may be another device by then."""

import os
import stat
from collections.abc import Iterator

from engine.cgroups import devices
from engine.cgroups.devices import Rule
from engine.errors import TerminalEngineError
from engine.process import rootfs, wire
from engine.types.configs import ContainerConfig
from engine.types.parts import Device

EVERYTHING = (Rule("c", None, None, "rwm"), Rule("b", None, None, "rwm"))
_OWN = {*(name for name, _, _ in rootfs.DEVICES), *(name for _, name in rootfs.DEVICE_LINKS), "console"}
_NOT_DEVICES = {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"}  # moby/pkg devices, getDevices


def of(config: ContainerConfig) -> tuple[wire.Device, ...]:
    """The nodes to make. Raises TerminalEngineError for a path that is no device."""
    found = {node.target: node for node in (_every_node() if config.security.privileged else ())}
    for device in config.devices:
        found |= {node.target: node for node in _nodes(config, device)}
    return tuple(found.values())


def rules(config: ContainerConfig) -> tuple[Rule, ...]:
    """What its cgroup may use. Raises TerminalEngineError for a path that is no device."""
    if config.security.privileged:
        return EVERYTHING
    own = [
        Rule(node.kind, node.major, node.minor, device.access)
        for device in config.devices
        for node in _nodes(config, device)
    ]
    return (*devices.DEFAULT, *own, *(rule for text in config.device_rules for rule in _parsed(text)))


def _parsed(text: str) -> Iterator[Rule]:
    """ "c 1:3 rwm"; a is both kinds."""
    kind, numbers, access = text.split(" ")
    major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
    for each in "cb" if kind == "a" else kind:
        yield Rule(each, major, minor, access)


def _nodes(config: ContainerConfig, device: Device) -> Iterator[wire.Device]:
    """The device, or all devices below it where it is a directory, as Docker has it."""
    try:
        if os.path.isdir(device.source):
            for path in _below(device.source):
                yield from _node(path, device.target + path.removeprefix(device.source))
            return
        made = list(_node(device.source, device.target))
    except OSError as error:
        why = "the machine has no such path" if isinstance(error, FileNotFoundError) else error.strerror
        raise TerminalEngineError(f"cannot give container {config.name} the device {device.source}: {why}") from error
    if not made:
        raise TerminalEngineError(f"cannot give container {config.name} {device.source}: it is not a device")
    yield from made


def _every_node() -> Iterator[wire.Device]:
    for path in _below("/dev"):
        if os.path.dirname(path) != "/dev" or os.path.basename(path) not in _OWN:
            try:
                yield from _node(path, path)
            except FileNotFoundError:
                continue  # gone meanwhile


def _below(directory: str) -> Iterator[str]:
    for folder, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if name not in _NOT_DEVICES)
        yield from (path for name in sorted(files) if not os.path.islink(path := f"{folder}/{name}"))


def _node(path: str, target: str) -> Iterator[wire.Device]:
    found = os.stat(path)
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        kind = "c" if stat.S_ISCHR(found.st_mode) else "b"
        numbers = os.major(found.st_rdev), os.minor(found.st_rdev)
        yield wire.Device(target, kind, *numbers, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
