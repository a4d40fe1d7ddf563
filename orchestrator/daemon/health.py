"""Healthchecks: one task a running container that has one, and the table of what they found.

As docker counts: a probe every `interval_s` (`start_interval_s` while starting within the start period); `retries`
failures in a row make it unhealthy, failures within the start period do not count until a first success; one success
makes it healthy at once. Beside that one probe comes at once after the start, and only its success counts: who is
ready is not kept waiting.

The table is kept in a file, so that a reborn daemon goes on where the old one ended: what was healthy is healthy.
"""

import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

import anyio
import anyio.abc
import pydantic

from engine import errors as engine_errors
from engine.api import Command, Ended
from engine.records import store, trusted
from engine.types.infos import ContainerInfo, State
from engine.types.parts import Healthcheck

log = logging.getLogger(__name__)

STARTING: Final = "starting"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"
OUTPUT_KEPT = 400
NOT_ASKED = -1  # moby/daemon/health.go: the exit code of a probe that timed out
SAVE_EVERY_S = 0.2
KEPT_BYTES_MAX = 16 << 20

Run = Callable[[str, Command, float], Awaitable[Ended]]
"""Engine.run."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one run of a container. Times are seconds since the epoch; `probed_at` 0: never. `code` and `output` are
    of the last probe, NOT_ASKED where it could not be made or took too long, None where nobody knows."""

    project: str
    started_at: float
    status: Literal["starting", "healthy", "unhealthy"] = STARTING
    failures: int = 0
    probed_at: float = 0.0
    output: str = ""
    code: int | None = None


RECORD = pydantic.TypeAdapter(Record)


def advance(record: Record, check: Healthcheck, ended: Ended, *, began: float, now: float) -> Record:
    """The record after a probe that `began` then and ended `now`. Pure."""
    after = replace(record, probed_at=now, output=ended.output[-OUTPUT_KEPT:], code=ended.code)
    if ended.code == 0:
        return replace(after, status=HEALTHY, failures=0)
    first = record.probed_at == 0.0
    excused = record.status == STARTING and (first or began - record.started_at < check.start_period_s)
    if excused:
        return after
    failures = record.failures + 1
    return replace(after, failures=failures, status=UNHEALTHY if failures >= check.retries else record.status)


def next_at(record: Record, check: Healthcheck) -> float:
    """When the next probe is due. Pure."""
    if record.probed_at == 0.0:
        return record.started_at
    in_start_period = record.probed_at - record.started_at < check.start_period_s
    if record.status == STARTING and in_start_period:
        return record.probed_at + check.start_interval_s
    return record.probed_at + check.interval_s


def command_of(check: Healthcheck) -> Command:
    kind, *words = check.test
    return Command(("/bin/sh", "-c", *words) if kind == "CMD-SHELL" else tuple(words))


@dataclass(slots=True)
class _Probing:
    started_at: float
    check: Healthcheck
    scope: anyio.CancelScope


class Monitor:
    """Probes what it was last shown. `changed` is called with the project's name when a status changes."""

    def __init__(
        self,
        run: Run,
        path: str,
        changed: Callable[[str], None],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._run, self._path, self._changed, self._clock, self._sleep = run, path, changed, clock, sleep
        self._records: dict[str, Record] = read(path)
        self._probing: dict[str, _Probing] = {}
        self._paused: set[str] = set()  # not asked, and as healthy as they were
        self._tasks: anyio.abc.TaskGroup | None = None
        self._dirty = anyio.Event()

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Probe until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            task_status.started()
            try:
                await self._keep()
            finally:
                self._tasks = None
                self._save()

    def statuses(self) -> Mapping[str, str]:
        """Container uid -> status, of all that run and have a check."""
        return {uid: record.status for uid, record in self.records().items()}

    def records(self) -> Mapping[str, Record]:
        """Container uid -> what is known, of all that run and have a check."""
        asked = self._probing.keys() | self._paused
        return {uid: record for uid, record in self._records.items() if uid in asked}

    def show(self, project: str, containers: Iterable[ContainerInfo]) -> None:
        """These are all containers of the project now: probes begin for those that run, rest for those that are paused, and end
        for all others."""
        live = {
            info.uid: (info, info.config.healthcheck)
            for info in containers
            if info.state is State.RUNNING and info.config.healthcheck is not None
        }
        for uid in [uid for uid, record in self._records.items() if record.project == project and uid not in live]:
            self._forget(uid)
        for uid, (info, check) in live.items():
            assert check is not None
            if info.config.paused:
                self._pause(project, info)
                continue
            probing = self._probing.get(uid)
            if probing and (probing.started_at, probing.check) == (info.started_at, check):
                continue
            if probing:
                probing.scope.cancel()
                if probing.check.test != check.test or self._records[uid].status == UNHEALTHY:
                    self._records.pop(uid)  # what was found is no answer to what is asked now
            self._begin(project, info, check)

    def _begin(self, project: str, info: ContainerInfo, check: Healthcheck) -> None:
        self._keep_record(project, info)
        self._paused.discard(info.uid)
        scope = anyio.CancelScope()
        self._probing[info.uid] = _Probing(info.started_at, check, scope)
        self._dirty.set()
        if self._tasks is not None:
            self._tasks.start_soon(self._probe, project, info.uid, check, scope)

    def _keep_record(self, project: str, info: ContainerInfo) -> None:
        """A record of this very run."""
        known = self._records.get(info.uid)
        if known is None or known.started_at != info.started_at:
            self._records[info.uid] = Record(project, info.started_at)

    def _pause(self, project: str, info: ContainerInfo) -> None:
        probing = self._probing.pop(info.uid, None)
        if probing:
            probing.scope.cancel()
        self._keep_record(project, info)
        self._paused.add(info.uid)

    def _forget(self, uid: str) -> None:
        self._paused.discard(uid)
        probing = self._probing.pop(uid, None)
        if probing:
            probing.scope.cancel()
        self._records.pop(uid, None)
        self._dirty.set()

    async def _probe(self, project: str, uid: str, check: Healthcheck, scope: anyio.CancelScope) -> None:
        with scope:
            while not scope.cancel_called:  # which it may be before we run at all
                record = self._records[uid]
                await self._sleep(max(0.0, next_at(record, check) - self._clock()))
                began = self._clock()
                ended = await self._ask(uid, check)
                if scope.cancel_called:
                    return
                if ended is None:
                    await self._sleep(check.interval_s)
                    continue
                after = advance(record, check, ended, began=began, now=self._clock())
                self._records[uid] = after
                if after.status != record.status:
                    log.info("project %s: container %s is %s", project, uid, after.status)
                    self._changed(project)
                if (after.status, after.failures) != (record.status, record.failures):
                    self._dirty.set()

    async def _ask(self, uid: str, check: Healthcheck) -> Ended | None:
        """None: it was paused a moment ago, which is soon shown to us, and says nothing about its health."""
        try:
            return await self._run(uid, command_of(check), check.timeout_s)
        except engine_errors.Paused:
            return None
        except TimeoutError:
            return Ended(NOT_ASKED, f"it took longer than {check.timeout_s:g} s")
        except engine_errors.EngineError as error:
            return Ended(NOT_ASKED, str(error))
        except Exception as error:  # a fault of ours in one probe must not stop all others
            log.exception("the healthcheck of %s", uid)
            return Ended(NOT_ASKED, f"{type(error).__name__}: {error}")

    async def _keep(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty = anyio.Event()
            self._save()
            await anyio.sleep(SAVE_EVERY_S)

    def _save(self) -> None:
        try:
            write(self._path, self._records)
        except OSError as error:
            log.warning("cannot keep %s: %s", self._path, error)


def read(path: str) -> dict[str, Record]:
    """The table kept at `path`; empty where there is none that can be read: then everything is asked anew."""
    try:
        said = trusted.json_of(path, trusted.content(path, KEPT_BYTES_MAX))
        return {uid: record for uid, fields in said.items() if (record := _record_of(fields))}
    except FileNotFoundError:
        return {}
    except (engine_errors.RecordError, AttributeError) as error:
        log.warning("%s; every healthcheck begins anew", error)
        return {}


def _record_of(fields: Mapping[str, object]) -> Record | None:
    try:
        return RECORD.validate_json(json.dumps(fields), strict=True)
    except pydantic.ValidationError:
        return None


def write(path: str, records: Mapping[str, Record]) -> None:
    """Keep the table: the old one or the new one, never half."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, store.DRAFT, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({uid: asdict(record) for uid, record in records.items()}, file)
    os.replace(temporary, path)
