"""Named volumes: a directory of data each, kept until somebody asks for its removal.

<root>/volumes/<name>/record.json
<root>/volumes/<name>/_data/       what containers see
"""

import dataclasses
import os
import re
import shutil

import anyio.to_thread

from engine import damage, errors, store
from engine.types.configs import VolumeConfig
from engine.types.infos import Damage, VolumeInfo

_SAFE_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")


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
            VolumeInfo(record.config, record.uid, record.whole and os.path.isdir(self.data(record.config.name)))
            for record in self._records.values()
        )

    def has(self, uid: str) -> bool:
        return any(record.uid == uid for record in self._records.values())

    def data(self, name: str) -> str:
        """Where a volume's content is, whether it exists or not."""
        return os.path.join(self._directory, name, "_data")

    def create(self, config: VolumeConfig) -> None:
        """Make the volume, or finish one that is half-made. Its data, where there is some, is kept."""
        if not _SAFE_NAME.match(config.name):
            raise errors.TerminalEngineError(f"cannot create volume {config.name!r}: not a name for a directory")
        if config.name in self.damaged:
            raise errors.RecordError(damage.words([self.damaged[config.name]]))
        known = self._records.get(config.name)
        record = known or store.VolumeRecord(config, store.new_uid())
        os.makedirs(os.path.join(self._directory, config.name), mode=0o700, exist_ok=True)
        if not known:
            self._keep(record)
        os.makedirs(self.data(config.name), mode=0o755, exist_ok=True)
        self._keep(dataclasses.replace(record, whole=True))

    def update(self, uid: str, config: VolumeConfig) -> None:
        """Give the volume other labels."""
        self._keep(dataclasses.replace(self._by_uid(uid), config=config))

    async def remove(self, uid: str) -> None:
        """Remove the volume and its data."""
        record = self._by_uid(uid)
        self._keep(dataclasses.replace(record, whole=False))
        await anyio.to_thread.run_sync(self._take_away, record.config.name)
        del self._records[record.config.name]

    def _take_away(self, name: str) -> None:
        """The data first: cut short, it is still known whose it is."""
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
