"""Volumes: a directory of data each, kept until somebody asks for its removal.

    <root>/volumes/<name>/record.json
    <root>/volumes/<name>/_data/       what containers see

What else a volume is made of (its `Backing`) is mounted on `_data`: a tmpfs on the machine, because it is to outlive the
containers that share it; anything else in the mount namespace of each container that has it, so that a dead container leaves no
mount.
"""

import dataclasses
import os
import re
import shutil
from collections.abc import Iterable
from typing import NamedTuple

import anyio.to_thread

from engine import backings, errors
from engine.process import syscalls, wire
from engine.records import damage, store
from engine.types.configs import VolumeConfig
from engine.types.infos import Damage, VolumeInfo
from engine.types.parts import Mount, VolumeMount

_SAFE_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")


class Content(NamedTuple):
    """Where a volume's content is, and what is to be mounted there first, in the container's own mount namespace."""

    path: str
    filesystem: wire.Filesystem | None = None


class Volumes:
    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._records: dict[str, store.VolumeRecord] = {}
        self.damaged: dict[str, Damage] = {}

    def load(self) -> None:
        """Read the records that are not known yet. One that cannot be read is left alone, with all below its directory: its data
        may be somebody's work. May be repeated."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        self.damaged = {}
        for name in sorted(os.listdir(self._directory)):
            path = self._record_path(name)
            if name in self._records:
                continue
            try:
                record = store.read(store.VolumeRecord, path)
                if record.config.name != name:
                    raise errors.RecordError(f"cannot read {path}: it is about volume {record.config.name}")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (errors.RecordError, OSError) as error:
                way_out = f"put it back as it was; or move it away: the volume is made anew around {self.data(name)}"
                self.damaged[name] = Damage(path, str(error), way_out)
                continue
            self._records[name] = record

    def infos(self) -> tuple[VolumeInfo, ...]:
        return tuple(
            VolumeInfo(record.config, record.uid, record.whole and self._is_there(record.config))
            for record in self._records.values()
        )

    def _is_there(self, config: VolumeConfig) -> bool:
        path = self.data(config.name)
        return os.path.ismount(path) if config.backing.kind == backings.TMPFS else os.path.isdir(path)

    def has(self, uid: str) -> bool:
        return any(record.uid == uid for record in self._records.values())

    def data(self, name: str) -> str:
        """Where a volume's content is, whether it exists or not."""
        return os.path.join(self._directory, name, "_data")

    async def content(self, mounts: Iterable[Mount]) -> dict[str, Content]:
        """The content of all volumes among the mounts, by name; ready to be mounted."""
        names = {mount.volume for mount in mounts if isinstance(mount, VolumeMount)}
        return {name: await self._content(name) for name in sorted(names)}

    async def _content(self, name: str) -> Content:
        if name in self.damaged:
            raise errors.RecordError(damage.words([self.damaged[name]]))
        record = self._records.get(name)
        if record is None or not record.config.backing.kind:
            return Content(self.data(name))
        if record.config.backing.kind == backings.TMPFS:
            self._mount_tmpfs(record.config)
            return Content(self.data(name))
        return Content(self.data(name), await anyio.to_thread.run_sync(backings.filesystem_of, record.config))

    def _mount_tmpfs(self, config: VolumeConfig) -> None:
        """After a reboot it is another one, and empty."""
        path = self.data(config.name)
        if not os.path.ismount(path):
            backings.mount_tmpfs(config, path)

    async def create(self, config: VolumeConfig) -> None:
        """Make the volume, or finish one that is half-made. Its data, where there is some, is kept."""
        if not _SAFE_NAME.match(config.name):
            raise errors.TerminalEngineError(f"cannot create volume {config.name!r}: not a name for a directory")
        if config.name in self.damaged:
            raise errors.RecordError(damage.words([self.damaged[config.name]]))
        backings.check(config)
        known = self._records.get(config.name)
        record = known or store.VolumeRecord(config, store.new_uid())
        os.makedirs(os.path.join(self._directory, config.name), mode=0o700, exist_ok=True)
        if not known:
            self._keep(record)
        os.makedirs(self.data(config.name), mode=0o755, exist_ok=True)
        if record.config.backing.kind == backings.TMPFS:
            self._mount_tmpfs(record.config)
        self._keep(dataclasses.replace(record, whole=True))

    def update(self, uid: str, config: VolumeConfig) -> None:
        """Give the volume other labels."""
        self._keep(dataclasses.replace(self._by_uid(uid), config=config))

    async def remove(self, uid: str) -> None:
        """Remove the volume and its data. What belongs to the machine, or to another one, is not its own, and stays."""
        record = self._by_uid(uid)
        self._keep(dataclasses.replace(record, whole=False))
        await anyio.to_thread.run_sync(self._clear, record.config.name)
        del self._records[record.config.name]

    def _clear(self, name: str) -> None:
        """The data first: cut short, it is still known whose it is."""
        while os.path.ismount(self.data(name)):
            syscalls.umount(self.data(name))
        for place in (self.data(name), os.path.join(self._directory, name)):
            if os.path.lexists(place):
                shutil.rmtree(place)

    def _by_uid(self, uid: str) -> store.VolumeRecord:
        for record in self._records.values():
            if record.uid == uid:
                return record
        raise errors.Superseded(f"volume {uid[:12]} is gone")

    def _record_path(self, name: str) -> str:
        return os.path.join(self._directory, name, "record.json")

    def _keep(self, record: store.VolumeRecord) -> None:
        store.write(self._record_path(record.config.name), record)
        self._records[record.config.name] = record
