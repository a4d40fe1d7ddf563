"""Our own records on disk: what was made, from which Config, and by which name the kernel knows it.

    <root>/instance                     8 hex digits: distinguishes corrals that live side by side
    <root>/volumes/<name>/record.json   and _data/, the volume's content
    <root>/containers/<uid>/record.json and the writable layer, run.json, exit.json, log
    <run>/networks/<uid>.json           boot-scoped, like the kernel's objects: a reboot forgets them together
    <run>/sandboxes/<uid>/record.json
    <run>/endpoints/<uid>.json

A record is written before the first side effect and removed after the last one, so a killed daemon leaves nothing
that no record names. Writing is temp, fsync, rename, fsync of the directory. Records are sealed (`trusted`), and what
is read is validated: an edited or half-written file raises `RecordError` and is never acted upon.
"""

import contextlib
import os
import secrets
from dataclasses import dataclass
from typing import Any, TypeVar

import pydantic

from engine import errors
from engine.images.layout import Layer
from engine.process.durable import sync_directory
from engine.records import trusted
from engine.types.configs import ContainerConfig, EndpointConfig, NetworkConfig, SandboxConfig, VolumeConfig
from engine.types.infos import Joined


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    config: VolumeConfig
    uid: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    config: NetworkConfig
    uid: str
    bridge: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    config: SandboxConfig
    uid: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """`link` is the machine's end of the cable, `interface` the container's."""

    config: EndpointConfig
    uid: str
    network_uid: str
    sandbox_uid: str
    link: str
    interface: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """`layers` are those of the image when the container was made."""

    config: ContainerConfig
    uid: str
    image_uid: str
    layers: tuple[Layer, ...] = ()
    created_at: float = 0.0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The last run of a container, as the daemon began it. `run` names it in the shim's records. `taken_along`: it ended because
    the pid namespace did that it was in. `hooked` False: its `post_start` have not all succeeded; `failed`: why it was ended, or
    is to be, by us without a stop being asked for."""

    run: str
    sandbox_uid: str
    boot_id: str
    started_at: float
    restarts: int = 0
    attempts: int = 0
    hasty: int = 0
    joined: tuple[Joined, ...] = ()
    taken_along: bool = False
    hooked: bool = True
    failed: str = ""


Record = TypeVar("Record")


_ADAPTERS: dict[type[Any], pydantic.TypeAdapter[Any]] = {}


def adapter(kind: type[Any]) -> pydantic.TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = pydantic.TypeAdapter(kind)
    return _ADAPTERS[kind]


AS_DRAFT = ".tmp"
DRAFT = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""What is in a draft's place is replaced, but neither followed nor waited for."""


def new_uid() -> str:
    return secrets.token_hex(32)


def write(path: str, record: object, *, durable: bool = True) -> None:
    """Replace the file at `path` by this record, whole after any crash of ours. `durable`: after a power cut too; what a
    reboot forgets anyway need not be."""
    replace(path, trusted.sealed(adapter(type(record)).dump_json(record)), durable=durable)


def sweep(directory: str) -> None:
    """Take away the drafts of records that a daemon left which died while it wrote them. Nobody may be writing there."""
    for name in os.listdir(directory):
        if name.endswith(f".json{AS_DRAFT}"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(directory, name))


def replace(path: str, content: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    draft = path + AS_DRAFT
    descriptor = os.open(draft, DRAFT, mode)
    try:
        os.write(descriptor, content)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.rename(draft, path)
    except IsADirectoryError:  # an empty one is nobody's loss
        os.rmdir(path)
        os.rename(draft, path)
    if durable:
        sync_directory(os.path.dirname(path))


def read(kind: type[Record], path: str) -> Record:
    """Read and validate a record. Raises `RecordError` naming the file; FileNotFoundError is left to the caller."""
    content = trusted.unsealed(path, trusted.content(path))
    trusted.json_of(path, content)
    try:
        record: Record = adapter(kind).validate_json(content, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise errors.RecordError(f"cannot read {path}: {where or 'the record'}: {first['msg']}") from error
    return record


def find(kind: type[Record], path: str) -> Record | None:
    """`read`, but None where there is no record, or only the empty file that a power cut leaves of one that was not durable."""
    try:
        return read(kind, path) if os.lstat(path).st_size else None
    except FileNotFoundError:
        return None


def instance_of(root: str) -> str:
    """Give this state root's identity, chosen once. Raises `RecordError` where it is lost: what was made under it would be
    nobody's."""
    path = os.path.join(root, "instance")
    try:
        found = trusted.content(path, 4096).decode("ascii", "replace").strip()
    except FileNotFoundError:
        if os.path.isdir(containers := os.path.join(root, "containers")) and os.listdir(containers):
            raise errors.RecordError(
                f"cannot read {path}: it is gone, and there are containers: put it back, 8 hexadecimal digits as in the names "
                "of the directories in /sys/fs/cgroup/corral (below a controller with cgroup v1)"
            ) from None
        found = secrets.token_hex(4)
        replace(path, found.encode())
    if len(found) != 8 or not set(found) <= set("0123456789abcdef"):
        raise errors.RecordError(
            f"cannot read {path}: not 8 hexadecimal digits; they are in the names of the directories in /sys/fs/cgroup/corral"
        )
    return found
