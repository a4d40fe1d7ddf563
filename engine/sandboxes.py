"""Sandboxes: a shim each, its records, and the three files that every container in it finds in /etc.

    <run>/sandboxes/<uid>/record.json     what was asked for (ours)
                          shim.json       which process it is (the shim's)
                          shim.sock       where it listens
                          hosts, resolv.conf, hostname

A sandbox exists as long as its shim lives. When the shim dies, what ran in it is ended at once, and only then is the
sandbox reported to be gone: nobody sees a container run without one.
"""

import collections
import contextlib
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import anyio.abc

from engine import errors, inside, shims, trees
from engine.process import namespaces, wire
from engine.records import damage, shim_records, soundness, store
from engine.types.configs import NetworkMode, SandboxConfig
from engine.types.infos import Damage, SandboxInfo
from engine.zygote import Zygote

log = logging.getLogger(__name__)

FILES = ("hosts", "resolv.conf", "hostname")
PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A link or a pipe in a file's place is neither followed nor waited for."""

CLOCK_TICK_S = 0.02
"""The times of files go in steps: of a jiffy, 10 ms at the most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file said when it was this version of itself: inode, time of the last change, size."""

    version: tuple[int, int, int]
    text: str | None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A living sandbox."""

    record: store.SandboxRecord
    directory: str
    shim: shims.Shim
    pid: int

    @property
    def config(self) -> SandboxConfig:
        return self.record.config

    def file(self, name: str) -> str:
        return os.path.join(self.directory, name)


Texts = Callable[[str, SandboxConfig], dict[str, str]]
"""What the files of the sandbox with this uid should say now: a mapping from the names in FILES."""


class Sandboxes:
    """`on_exit` hears of every container's exit. `on_death` hears of a sandbox whose shim died by itself, ends what is left
    in its cgroups, and notes that at the very end: right after it the sandbox is gone too. `texts` renders the files."""

    def __init__(
        self,
        run: str,
        *,
        zygote: Zygote,
        tasks: anyio.abc.TaskGroup,
        remover: trees.Remover,
        texts: Texts,
        on_exit: Callable[[wire.Exit], Awaitable[None]],
        on_death: Callable[[str, SandboxConfig], Awaitable[None]],
    ) -> None:
        self._directory = os.path.join(run, "sandboxes")
        self.zygote = zygote
        self._remover = remover
        self._tasks, self._texts, self._on_exit, self._on_death = tasks, texts, on_exit, on_death
        self._living: dict[str, Sandbox] = {}
        self._half_made: dict[str, store.SandboxRecord] = {}
        self.damaged: dict[str, Damage] = {}
        self.ended: set[str] = set()  # those that were found without their shim
        self._known = anyio.Event()
        self._rewired: collections.Counter[str] = collections.Counter()  # by sandbox uid: cables being changed
        self._seen: dict[str, dict[str, Seen]] = {}  # sandbox uid -> what its files said when they were last read

    # ------------------------------------------------------------------------------------------------------ reading

    def __iter__(self) -> Iterator[Sandbox]:
        return iter(self._living.values())

    def infos(self, project: str) -> Iterator[SandboxInfo]:
        for uid, record in self._half_made.items():
            if record.config.project == project:
                yield SandboxInfo(record.config, uid, whole=False)
        for sandbox in self._living.values():
            if sandbox.config.project == project:
                yield SandboxInfo(sandbox.config, sandbox.record.uid, drift=self._drift(sandbox), pid=sandbox.pid)

    def get(self, uid: str) -> Sandbox:
        if uid not in self._living:
            raise errors.Superseded(f"sandbox {uid[:12]} is gone")
        return self._living[uid]

    def find(self, uid: str) -> Sandbox | None:
        return self._living.get(uid)

    def has(self, uid: str) -> bool:
        return uid in self._living or uid in self._half_made

    def named(self, project: str, name: str) -> Sandbox:
        """Give a project's living sandbox by its name. Raises `EngineError`: it may come back."""
        for sandbox in self._living.values():
            if (sandbox.config.project, sandbox.config.name) == (project, name):
                return sandbox
        raise errors.EngineError(f"cannot use sandbox {name} of project {project}: it is not there")

    # ------------------------------------------------------------------------------------------------------- making

    async def load(self) -> frozenset[str]:
        """Adopt every sandbox whose shim lives; forget the others, once nothing of theirs runs. One of which neither can be told
        is damaged, and left alone. May be repeated: what is known stays. Gives the uids of those that were adopted now: what
        their shims say is heard after `hear`."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        damaged, before = dict[str, Damage](), set(self._living)
        self._known = anyio.Event()

        async def attempt(uid: str) -> None:
            try:
                await self._adopt(uid)
            except (errors.EngineError, OSError) as error:
                damaged[uid] = await self._damage_of(uid, error)

        async with anyio.create_task_group() as tasks:
            for uid in sorted(filter(soundness.UID.match, os.listdir(self._directory))):
                if not self.has(uid):
                    tasks.start_soon(attempt, uid)
        self.damaged = damaged
        return frozenset(self._living.keys() - before)

    def hear(self) -> None:
        """Who must know what runs in those that were adopted knows it: hear now how that goes on."""
        self._known.set()

    async def _adopt(self, uid: str) -> None:
        directory = os.path.join(self._directory, uid)
        path = os.path.join(directory, "record.json")
        try:
            record = store.read(store.SandboxRecord, path)
        except FileNotFoundError:
            if pid := await shims.living(directory):
                raise errors.RecordError(
                    f"cannot read {path}: it is gone, and its shim (process {pid}) lives"
                ) from None
            shutil.rmtree(directory)
            return
        soundness.check(record, uid, path)
        shim = await shims.adopt(directory)
        if shim and not record.whole and shim.listing.running:
            shim.close()
            raise errors.RecordError(f"cannot read {path}: it says half-made, and containers run in it")
        if shim and record.whole:
            self._keep(record, shim)
            return
        if shim:
            shim.close()
        await self._end(record)
        self.ended.add(uid)

    async def _damage_of(self, uid: str, error: Exception) -> Damage:
        """Nobody is held up by a sandbox in which nothing can run any more."""
        directory = os.path.join(self._directory, uid)
        pid = await shims.living(directory)
        projects = {shims.project_of(pid) or "?"} if pid else set()
        end = f"end its shim (kill {pid}), and " if pid else ""
        return Damage(
            directory, str(error), f"put it back; or give it up: {end}move {directory} away", damage.of(projects)
        )

    async def create(self, config: SandboxConfig) -> None:
        for other in self._living.values():
            if (other.config.project, other.config.name) == (config.project, config.name):
                if other.config == config:
                    return
                raise errors.EngineError(
                    f"cannot create sandbox {config.name} of project {config.project}: there is one"
                )
        record = store.SandboxRecord(config, store.new_uid())
        directory = os.path.join(self._directory, record.uid)
        os.mkdir(directory, 0o700)
        self._half_made[record.uid] = record
        store.write(os.path.join(directory, "record.json"), record, durable=False)
        for name, text in self._texts(record.uid, config).items():
            _overwrite(os.path.join(directory, name), text)
            if config.ids:
                os.chown(os.path.join(directory, name), config.ids.first, config.ids.first)
        shim = await self.zygote.fork_shim(
            wire.SandboxSpec(
                sandbox=record.uid,
                name=config.name,
                project=config.project,
                directory=directory,
                run_directory=os.path.dirname(self._directory),
                hostname=config.hostname,
                domainname=config.domainname,
                mode=str(config.mode),
                sysctls=config.sysctls,
                ids=wire.IdRange(config.ids.first, config.ids.length) if config.ids else None,
            )
        )
        record = replace(record, whole=True)
        store.write(os.path.join(directory, "record.json"), record, durable=False)
        del self._half_made[record.uid]
        self._keep(record, shim)

    async def update(self, uid: str, config: SandboxConfig) -> None:
        sandbox = self.get(uid)
        if sandbox.config.mode is not config.mode:
            raise errors.TerminalEngineError(f"cannot update sandbox {config.name}: its mode does not change live")
        record = replace(sandbox.record, config=config)
        if (config.hostname, config.domainname) != (sandbox.config.hostname, sandbox.config.domainname):
            await inside.act(
                sandbox.directory, inside.NAMES, lambda: namespaces.name(config.hostname, config.domainname)
            )
        store.write(sandbox.file("record.json"), record, durable=False)
        self._living[uid] = replace(sandbox, record=record)
        self.write_files(self._living[uid])

    def write_files(self, sandbox: Sandbox) -> None:
        """Make the files say what they should. In place: containers have them mounted."""
        for name, text in self._texts(sandbox.record.uid, sandbox.config).items():
            if _read(sandbox.file(name)) != text:
                _overwrite(sandbox.file(name), text)

    @contextlib.contextmanager
    def rewired(self, uid: str) -> Iterator[None]:
        """While its cables change, its files are behind, which is no drift; at the end of the context they are written."""
        self._rewired[uid] += 1
        try:
            yield
        finally:
            self._rewired[uid] -= 1
            if not self._rewired[uid]:
                del self._rewired[uid]
            if sandbox := self._living.get(uid):
                self.write_files(sandbox)

    async def remove(self, uid: str) -> None:
        """End the shim with all that runs in it, then forget it."""
        sandbox = self._living.pop(uid, None)
        record = sandbox.record if sandbox else self._half_made.get(uid)
        if record is None:
            raise errors.Superseded(f"sandbox {uid[:12]} is gone")
        if sandbox:
            self._half_made[uid] = replace(record, whole=False)
            await sandbox.shim.quit()
        await self._end(record)
        self._half_made.pop(uid, None)

    # ------------------------------------------------------------------------------------------------------- inside

    def _keep(self, record: store.SandboxRecord, shim: shims.Shim) -> None:
        directory = os.path.join(self._directory, record.uid)
        identity = shim_records.identity_of(directory)
        self._living[record.uid] = Sandbox(record, directory, shim, identity.pid if identity else 0)
        self._tasks.start_soon(self._live, record.uid, shim, self._known)

    async def _live(self, uid: str, shim: shims.Shim, known: anyio.Event) -> None:
        """Hear what a shim says until it is gone."""

        async def hear() -> None:
            await known.wait()
            async for ended in shim.exits():
                await self._on_exit(ended)

        async with anyio.create_task_group() as both:
            both.start_soon(hear)
            await shim.run()
        sandbox = self._living.get(uid)
        if sandbox is None or sandbox.shim is not shim:
            return  # removed on purpose
        log.warning("sandbox:%s its shim %d died", sandbox.config.name, sandbox.pid)
        try:
            await self._on_death(uid, sandbox.config)
            self._living.pop(uid, None)
            await self._end(sandbox.record)
        except (errors.EngineError, OSError):
            log.exception("sandbox:%s cannot clear up after its shim", sandbox.config.name)
        finally:
            self._living.pop(uid, None)

    async def _end(self, record: store.SandboxRecord) -> None:
        directory = os.path.join(self._directory, record.uid)
        self._seen.pop(record.uid, None)
        await shims.end(directory)
        await self._remover.remove(directory)

    def _drift(self, sandbox: Sandbox) -> tuple[str, ...]:
        if sandbox.record.uid in self._rewired:
            return ()
        texts = self._texts(sandbox.record.uid, sandbox.config)
        return tuple(f"/etc/{name}" for name, text in texts.items() if self._said(sandbox, name) != text)

    def _said(self, sandbox: Sandbox, name: str) -> str | None:
        """What the file says: read only where it may have changed since it was read."""
        path = sandbox.file(name)
        try:
            found = os.stat(path)
        except OSError:
            return None
        seen = self._seen.setdefault(sandbox.record.uid, {})
        version = (found.st_ino, found.st_ctime_ns, found.st_size)
        if name not in seen or seen[name].version != version:
            seen[name] = Seen(version, _read(path))
            if time.time() - found.st_ctime < CLOCK_TICK_S:  # one more change may leave the same time
                return seen.pop(name).text
        return seen[name].text


def is_private(config: SandboxConfig) -> bool:
    return config.mode is NetworkMode.PRIVATE


def _read(path: str) -> str | None:
    try:
        with open(os.open(path, os.O_RDONLY | PLAIN), encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError:
        return None


def _overwrite(path: str, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | PLAIN
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError:  # something that is no file is in its place
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        descriptor = os.open(path, flags, 0o644)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        os.fchmod(descriptor, 0o644)
