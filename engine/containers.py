"""Containers: their writable layers, cgroups, runs, and what is known of how the last one ended.

<root>/containers/<uid>.gone            being removed
<root>/containers/<uid>/record.json     what was asked for
                        run.json        the last run, as we began it
                        run/            process.json and exit.json of that run: the shim's
                        layers/<n>/     upper and work of each overlay
                        root/           where the file system is mounted, seen by the container alone
                        log, log.1      its output
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import anyio
import anyio.to_thread

from engine import errors, sharing, starting, trees
from engine.cgroups import block_limits, devices
from engine.cgroups.census import Inhabited
from engine.cgroups.driver import Driver, Paths
from engine.container import Container
from engine.images.store import ImageStore
from engine.logs import sending
from engine.process import wire
from engine.records import container_records, damage, soundness, store
from engine.records.container_records import Running
from engine.rights import confinement, nodes
from engine.sandboxes import Sandbox
from engine.types.configs import ContainerConfig
from engine.types.infos import ContainerInfo, Damage, State
from engine.types.parts import GivenFile, Limits, OnChange, PortMap, Scope
from engine.volumes import Content

GONE = ".gone"
IN_FORCE_IS_FRESH_S = 1.0
FREEZE_S = 5.0
PARENTS = "_parents"
"""No project is called so."""


class Containers:
    def __init__(
        self,
        root: str,
        *,
        driver: Driver,
        images: ImageStore,
        remover: trees.Remover,
        seccomp: confinement.DefaultFilter,
        boot_id: str,
    ) -> None:
        self._directory = os.path.join(root, "containers")
        self._driver, self._images, self._remover = driver, images, remover
        self._seccomp, self._boot_id = seccomp, boot_id
        self._all: dict[str, Container] = {}
        self._uids: dict[tuple[str, str], str] = {}  # (project, slot) -> uid
        self.damaged: dict[str, Damage] = {}
        self._is_loaded = False
        self._unheard: dict[str, wire.Exit] = {}

    # ------------------------------------------------------------------------------------------------------ reading

    def __iter__(self) -> Iterator[Container]:
        return iter(self._all.values())

    def get(self, uid: str) -> Container:
        if uid not in self._all:
            raise errors.Superseded(f"container {uid[:12]} is gone")
        return self._all[uid]

    def find(self, uid: str) -> Container | None:
        return self._all.get(uid)

    def infos(self, project: str) -> Iterator[ContainerInfo]:
        for container in self._all.values():
            if container.config.project == project:
                yield self._info(container)

    def _info(self, container: Container) -> ContainerInfo:
        ended, run = container.exit, container.run
        return ContainerInfo(
            config=self._config_in_force(container),
            uid=container.record.uid,
            image_uid=container.record.image_uid,
            state=container.state,
            sandbox_uid=run.sandbox_uid if run and container.process else "",
            whole=container.record.whole,
            pid=container.process.identity.pid if container.process else 0,
            code=_code_of(ended, run) if ended and not container.process else None,
            oom=bool(ended and ended.oom and not container.process),
            lost=container.is_lost,
            error=container.error or (run.failed if run else ""),
            created_at=container.record.created_at,
            started_at=run.started_at if run and not container.is_starting else 0.0,
            ended_at=container.ended_at,
            restarts=run.restarts if run else 0,
            attempts=run.attempts if run else 0,
            hasty=container.hasty,
            joined=run.joined if run and container.process else (),
            hooked=run.hooked if run else True,
        )

    def _config_in_force(self, container: Container) -> ContainerConfig:
        config, (limits, paused) = container.config, self._in_force(container)
        if (limits, paused) == (config.limits, config.paused):
            return config
        return replace(config, limits=limits, paused=paused)

    def _in_force(self, container: Container) -> tuple[Limits, bool]:
        """The limits that the kernel has, and whether it is paused, asked at most once a second."""
        asked = container.config.limits, container.config.paused
        if not container.process:
            return asked
        now = time.monotonic()
        if container.in_force is None or now - container.in_force_at > IN_FORCE_IS_FRESH_S:
            paths = self.cgroup(container)
            try:
                limits = self._driver.read(paths, container.config.limits)
                container.in_force = limits, self._driver.is_told_to_freeze(paths)
            except errors.EngineError:
                container.in_force = None  # its last process has just ended
            container.in_force_at = now
        return container.in_force or asked

    def directory(self, uid: str) -> str:
        return os.path.join(self._directory, uid)

    def log_path(self, config: ContainerConfig) -> str:
        uid = self._uids.get((config.project, config.slot))
        if uid is None:
            raise errors.Superseded(f"container {config.name} is gone")
        return os.path.join(self.directory(uid), "log") if config.logging.is_kept else ""

    def skeletons(self) -> set[str]:
        """The lower layers that containers stand on."""
        return {
            lower for container in self._all.values() for layer in container.record.layers for lower in layer.lowers
        }

    # ------------------------------------------------------------------------------------------------------- making

    def load(
        self, running: Mapping[str, Running], inhabited: Mapping[str, Inhabited], ended: Set[str]
    ) -> tuple[Container, ...]:
        """Read all records that are not known yet, or not as what runs; gives those. `running`: what the living shims say they
        run, by container; `inhabited`: the cgroups there are; `ended`: the sandboxes whose shim is known to be dead. What is
        damaged, or runs and no record is about it, is left alone. May be repeated."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        before, self.damaged = self.damaged, {}
        found = list[Container]()
        for name in sorted(os.listdir(self._directory)):
            uid = name.removesuffix(GONE)
            if not soundness.UID.match(uid):
                continue
            try:
                if name == uid:
                    found += self._load(uid, running.get(uid))
                elif uid not in self._all and uid not in running:
                    shutil.rmtree(os.path.join(self._directory, name))
            except (errors.RecordError, OSError) as error:
                self._note_damage(uid, str(error), inhabited, running)
        killed = set[str]()
        for container in found:
            self._note_taken_along(container, just_now=False)
            shares_pids = container.config.namespaces.pid is not Scope.OWN
            if not container.process and shares_pids and container.run and container.run.sandbox_uid in ended:
                self._driver.kill(self.cgroup(container))  # its shim has died while nobody looked
                killed.add(container.record.uid)
        doubted = before.keys() if self._is_loaded else self._all.keys() - killed
        self._account(inhabited, running, {uid[:12] for uid in self._all if uid not in doubted})
        self._is_loaded = True
        return tuple(found)

    def _load(self, uid: str, running: Running | None) -> Iterator[Container]:
        container = self._all.get(uid)
        if container and (container.process or not running):
            return
        found = container_records.read(self.directory(uid), uid, running)
        if found is None:  # a power cut in the middle of its making
            shutil.rmtree(self.directory(uid))
            return
        if not self._images.may_be_made_of(found.record.config.image, found.record.layers):
            raise errors.RecordError(f"cannot read {self.directory(uid)}/record.json: its layers are not the image's")
        self._refuse_twins(found.record)
        missed = self._unheard.pop(uid, None)
        if running and missed and missed.run == running.process.run:
            running, found = None, replace(found, exit=missed)
        container = container or Container(found.record)
        container.run, container.exit = found.run, found.exit
        container.process = running.process if running else None
        if found.run:
            container.rebooted = found.run.boot_id != self._boot_id
            container.lost_at = 0.0 if running or found.exit else time.time()
        self._keep(container)
        yield container

    def _refuse_twins(self, record: store.ContainerRecord) -> None:
        config = record.config
        for other in self._all.values():
            same = other.config.name == config.name or (
                (other.config.project, other.config.slot) == (config.project, config.slot)
            )
            if same and other.record.uid != record.uid:
                where, there = self.directory(record.uid), self.directory(other.record.uid)
                raise errors.RecordError(f"cannot use {where}: container {config.name} is in {there} too")

    def _account(self, inhabited: Mapping[str, Inhabited], running: Mapping[str, Running], fine: set[str]) -> None:
        """Whoever lives in a cgroup of ours is the process of a container that a shim of ours runs, or is left alone. `fine`: of
        these it is known; one may just be starting."""
        known = fine | {uid[:12] for uid, container in self._all.items() if container.process}
        known |= {uid[:12] for uid in self.damaged}
        for short, found in inhabited.items():
            if found.pids and short not in known:
                uid = next((uid for uid in (*self._all, *running) if uid.startswith(short)), short)
                pids = ", ".join(map(str, sorted(found.pids)[:5]))
                why = "its sandbox is gone or damaged" if uid in self._all else "no record is about it"
                words = f"container {short} lives (processes {pids}), and {why}"
                self._note_damage(uid, words, inhabited, running)

    def _note_damage(
        self, uid: str, words: str, inhabited: Mapping[str, Inhabited], running: Mapping[str, Running]
    ) -> None:
        """Whose it is is said by its cgroup and its sandbox; where it has none, by what is left of its record."""
        directory, home = self.directory(uid), inhabited.get(uid[:12])
        known = {home.project if home else "", running[uid].project if uid in running else ""}
        known |= {self._all[uid].config.project} if uid in self._all else set()
        projects = damage.of(known) or damage.claimed_by(os.path.join(directory, "record.json"))
        end = f"kill {min(home.pids)}" if home and home.pids else ""
        away = f"move {directory} away" if uid not in self._all else ""
        give_up = ", and ".join(filter(None, (end, away)))
        way_out = f"put it back as it was; or give the container up: {give_up}"
        self.damaged[uid] = Damage(directory, words, way_out, damage.of(projects))

    def _ended_unseen(self, container: Container) -> None:
        """Its end was not heard: the record tells, or nobody knows."""
        assert container.run is not None
        container.exit = container_records.exit_of(self.directory(container.record.uid), container.run)
        if container.exit is None:
            container.lost_at = time.time()

    def _keep(self, container: Container) -> None:
        self._all[container.record.uid] = container
        self._uids[container.config.project, container.config.slot] = container.record.uid

    async def create(self, config: ContainerConfig) -> None:
        """Make the writable layers and the cgroup. The limits are in force before there is a process. Durable at the end
        only, and in a thread: many are made at once, and the disk takes their records together."""
        for other in self._all.values():
            if other.config == config and other.record.whole:
                return
            if other.config.name == config.name:
                raise errors.EngineError(
                    f"cannot create container {config.name}: project {other.config.project} has one"
                )
        image = next((info for info in self._images.infos() if info.config.reference == config.image), None)
        if image is None:
            raise errors.EngineError(f"cannot create container {config.name}: image {config.image} is not there")
        confinement.check(config)
        sending.check(config)
        rules = nodes.rules(config)
        layers = self._images.layers(config.image)
        record = store.ContainerRecord(config, store.new_uid(), image.uid, layers, created_at=time.time())
        directory = self.directory(record.uid)
        path = os.path.join(directory, "record.json")
        os.mkdir(directory, 0o700)
        store.write(path, record, durable=False)
        container = Container(record)
        self._keep(container)
        self._driver.create(group_of(config), record.uid[:12], config.limits, rules, config.block_io)
        container.in_force, container.in_force_at = (config.limits, False), time.monotonic()
        starting.make_directories(directory, layers, starting.owner_of(0, config.ids))
        whole = replace(record, whole=True)
        await anyio.to_thread.run_sync(store.write, path, whole)
        container.record = whole

    def change(self, container: Container, config: ContainerConfig) -> None:
        """Keep another Config, and put its limits in force. Those of block devices that stay are not touched: a device may be
        gone by now, and whoever is only to end would not."""
        had = container.config.block_io
        paths = self._driver.create(group_of(config), container.record.uid[:12], config.limits, nodes.rules(config))
        self._driver.weigh(paths, had, config.block_io)
        try:
            self._driver.update(paths, config.limits)
        except errors.EngineError:
            self._driver.weigh(paths, config.block_io, had)
            raise
        container.in_force = None
        container.record = replace(container.record, config=config)
        store.write(os.path.join(self.directory(container.record.uid), "record.json"), container.record)

    def rewrite_files(self, container: Container, files: Sequence[GivenFile]) -> tuple[int, ...]:
        """Change those that may be changed while it runs, and differ; gives the signals that it then has to get."""
        signals: dict[int, None] = {}
        for number, (had, file) in enumerate(zip(container.config.files, files, strict=False)):
            if had.data != file.data and had.target == file.target and file.on_change is OnChange.SIGNAL:
                path = starting.given_file(self.directory(container.record.uid), number)
                starting.write_file(path, file, container.config.ids)
                signals[file.signal] = None
        return tuple(signals)

    async def pause(self, container: Container, *, on: bool) -> None:
        """Let all its processes stand still, or go on; returns when they do."""
        paths = self.cgroup(container)
        if on == self._driver.is_told_to_freeze(paths):
            return
        container.in_force = None
        self._driver.freeze(paths, on=on)
        with anyio.move_on_after(FREEZE_S):
            while on != self._driver.is_frozen(paths):  # noqa: ASYNC110 - a millisecond; the kernel tells on v2 only
                await anyio.sleep(0.001)
            return
        self._driver.freeze(paths, on=False)
        raise errors.EngineError(f"cannot pause {container.config.name}: its processes do not stand still")

    def refuse_paused(self, container: Container) -> None:
        """Whoever is born into a frozen cgroup does not begin: raise `Paused` for one that is."""
        if self._driver.is_told_to_freeze(self.cgroup(container)):
            raise errors.Paused(f"cannot run a command in {container.config.name}: it is paused")

    def keep_ports(self, container: Container, ports: tuple[PortMap, ...]) -> None:
        """Note that it has these host ports and no others."""
        container.record = replace(container.record, config=replace(container.config, ports=ports))
        store.write(os.path.join(self.directory(container.record.uid), "record.json"), container.record)

    async def start(self, container: Container, sandbox: Sandbox, content: Mapping[str, Content]) -> None:
        """Start the process; the caller holds the container's lock and has taken its ports. `content`: of its volumes."""
        exited, before = container.state is State.EXITED, container.run

        def in_slot(name: str) -> Container | None:
            return self._all.get(self._uids.get((container.config.project, name), ""))

        record, directory = container.record, self.directory(container.record.uid)
        paths = self.cgroup(container)
        if self._driver.missing(paths):  # since a reboot
            self._driver.create(
                group_of(record.config), record.uid[:12], record.config.limits, block_io=record.config.block_io
            )
        rules = nodes.rules(record.config)
        if rules != devices.DEFAULT:  # numbers may be others by now
            self._driver.set_devices(paths, rules)
        await self.pause(container, on=False)
        run = store.RunRecord(
            run=store.new_uid()[:12],
            sandbox_uid=sandbox.record.uid,
            boot_id=self._boot_id,
            started_at=time.time(),
            restarts=before.restarts + (not container.is_lost) if before and exited else 0,
            attempts=container.next_attempt,
            hasty=container.hasty,
            joined=sharing.joined(record.config, in_slot),
            hooked=not record.config.post_start,
        )
        starting.write_files(directory, record.config.files, record.config.ids)
        starting.write_hostname(record.config, directory)
        spec = starting.spec_of(
            record,
            run=run.run,
            directory=directory,
            sandbox=sandbox,
            cgroups=paths,
            defaults=self._images.defaults(record.config.image),
            seccomp_path=confinement.filter_of(record.config, directory, self._seccomp),
            content=content,
            namespaces=sharing.namespaces_of(record.config, in_slot),
        )
        store.write(os.path.join(directory, "run.json"), run, durable=False)
        container.run, container.exit, container.lost_at, container.rebooted = run, None, 0.0, False
        try:
            container.process = await sandbox.shim.start(spec)
            container.error = ""
        except errors.EngineError as error:
            self._not_started(container, before, error)
            raise

    def mark(self, container: Container, *, hooked: bool = False, failed: str = "") -> None:
        """Note of its present run that its `post_start` are done, or why it is to end."""
        assert container.run is not None
        container.run = replace(container.run, hooked=hooked, failed=failed)
        store.write(os.path.join(self.directory(container.record.uid), "run.json"), container.run, durable=False)

    def _not_started(self, container: Container, before: store.RunRecord | None, error: errors.EngineError) -> None:
        """A start that failed is no run: what was before is again."""
        container.error = str(error)
        path = os.path.join(self.directory(container.record.uid), "run.json")
        container.run = None
        if before is None:
            os.unlink(path)
        else:
            store.write(path, before, durable=False)
            container.run = before
            self._ended_unseen(container)

    def ended(self, found: wire.Exit) -> Container | None:
        """Note an exit; gives the container if this was its present run."""
        container = self._all.get(found.container)
        if container is None:
            self._unheard[found.container] = found  # its record could not be read until now
        if container is None or container.run is None or container.run.run != found.run:
            return None
        container.process, container.exit = None, found
        self._note_taken_along(container, just_now=True)
        return container

    def _note_taken_along(self, container: Container, *, just_now: bool) -> None:
        """Once and for all: who took it along may soon run again."""
        if not container.run or container.run.taken_along:
            return
        if sharing.was_taken_along(container, self._all.get, just_now=just_now):
            container.run = replace(container.run, taken_along=True)
            path = os.path.join(self.directory(container.record.uid), "run.json")
            store.write(path, container.run, durable=False)

    async def stop(self, container: Container, sandbox: Sandbox, grace_s: float) -> None:
        found = await sandbox.shim.stop(container.record.uid, container.config.stop_signal, grace_s)
        if found:
            self.ended(found)

    async def kill_lost(self, sandbox_uid: str) -> list[Container]:
        """End what still runs in the cgroups of a sandbox whose shim died, and note that it did. Gives those it was."""
        those = [c for c in self._all.values() if c.process and c.run and c.run.sandbox_uid == sandbox_uid]
        with anyio.move_on_after(10, shield=True):
            for container in those:
                self._driver.kill(self.cgroup(container))
            for container in those:
                await self._emptied(container)
                # a v2 cgroup that was killed kills whoever is born into it later: the next start makes another one
                self._driver.remove_empty(self.cgroup(container))
        for container in those:
            container.process = None
            try:
                self._ended_unseen(container)
            except errors.RecordError as error:
                container.lost_at, container.error = time.time(), str(error)
        return those

    async def _emptied(self, container: Container) -> None:
        while self._driver.is_populated(self.cgroup(container)):  # noqa: ASYNC110 - the kernel tells on v2 only
            await anyio.sleep(0.002)

    async def remove(self, container: Container) -> None:
        """Remove the cgroup, then the layers, the log and the record, all of which are gone at once for the next daemon."""
        directory, paths = self.directory(container.record.uid), self.cgroup(container)
        container.record = replace(container.record, whole=False)
        if not self._driver.remove_empty(paths):
            self._driver.kill(paths)
            self._driver.remove(paths)
        with contextlib.suppress(FileNotFoundError):  # where a removal before was cut short
            os.rename(directory, f"{directory}{GONE}")
        await self._remover.remove(f"{directory}{GONE}")
        del self._all[container.record.uid]
        slot = container.config.project, container.config.slot
        if self._uids.get(slot) == container.record.uid:
            del self._uids[slot]

    def cgroup(self, container: Container) -> Paths:
        """Where its cgroup is; touches nothing."""
        config = container.config
        has_block_io = config.block_io != block_limits.NONE
        return self._driver.paths(group_of(config), container.record.uid[:12], block_io=has_block_io)


def group_of(config: ContainerConfig) -> str:
    """What a container's cgroup is in: the project's, or the parent that the file names, which projects share."""
    return f"{PARENTS}/{config.cgroup_parent}" if config.cgroup_parent else config.project


def _code_of(ended: wire.Exit, run: store.RunRecord | None) -> int:
    """A run that was ended for its `post_start` is no success, whatever the program makes of its stop signal."""
    return 1 if run and run.failed and not ended.code else ended.code
