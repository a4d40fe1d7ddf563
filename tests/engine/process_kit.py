"""A place to start real containers in, for the tests of zygote, shim and their children: a busybox root, a zygote, and the proof
afterwards that nothing is left. States are read from /proc and /sys, not with the engine's own readers."""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from engine import shims
from engine.logs import reading
from engine.process import wire
from engine.records import shim_records
from engine.zygote import Zygote
from tests import slowness

BUSYBOX = "/bin/busybox"
_NAMES = (
    "sh true false ls cat sleep echo ps id mount hostname env touch mkdir rm mv ln kill grep head tail wc readlink stat test"
    " mknod chmod dd tty stty printf seq pwd date find mkfifo unshare yes tr sort uniq"
)
APPLETS = _NAMES.split()
DEADLINE_S = slowness.scaled(10.0)


def eventually(condition: Callable[[], Any]) -> Any:
    """Poll until the condition is true, and give its value."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)
    return value


async def eventually_async(condition: Callable[[], Any]) -> Any:
    with anyio.fail_after(DEADLINE_S):
        while not (value := condition()):  # noqa: ASYNC110  # what /proc says has no event
            await anyio.sleep(0.005)
        return value


def make_busybox_root(directory: pathlib.Path) -> pathlib.Path:
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "root", "data"):
        (directory / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, directory / "bin/busybox")
    for name in APPLETS:
        (directory / "bin" / name).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\nann:x:1001:\nwheel:x:10:ann\naudio:x:29:ann,root\n")
    (directory / "tmp").chmod(0o1777)
    return directory


def read(path: object) -> str:
    return pathlib.Path(str(path)).read_text()


def status(pid: int) -> dict[str, str]:
    lines = read(f"/proc/{pid}/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def is_zombie(pid: int) -> bool:
    """No, too, if it has gone meanwhile."""
    try:
        return status(pid)["State"].startswith("Z")
    except OSError:
        return False


def processes(having: str) -> dict[int, str]:
    """Mapping from pid to command line of those whose command line has this text."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                line = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if having in line:
                    found[int(entry)] = line.strip()
    return found


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found |= {int(child)} | descendants(int(child))
    return found


class Cgroups:
    """A v2 directory where the machine has v2, and v1 directories for memory and pids where it has those."""

    def __init__(self) -> None:
        name = f"corral-test-{secrets.token_hex(4)}"
        top = pathlib.Path("/sys/fs/cgroup")
        v2 = next((place for place in (top, top / "unified") if (place / "cgroup.controllers").exists()), None)
        self.v2 = v2 / name if v2 else None
        self.v1 = [top / it / name for it in ("memory", "pids", "freezer") if (top / it / "tasks").exists()]
        for directory in (*self.v1, *([self.v2] if self.v2 else [])):
            directory.mkdir()

    @property
    def spec(self) -> wire.Cgroups:
        return wire.Cgroups(str(self.v2) if self.v2 else "", tuple(str(it) for it in self.v1))

    def pids(self) -> set[int]:
        """The processes in any of them."""
        every = (*self.v1, *([self.v2] if self.v2 else []))
        return {int(line) for it in every for line in (it / "cgroup.procs").read_text().split()}

    def remove(self) -> None:
        for directory in (*self.v1, *([self.v2] if self.v2 else [])):
            eventually(lambda directory=directory: self._removed(directory))

    def _removed(self, directory: pathlib.Path) -> bool:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class Lab:
    def __init__(self, directory: pathlib.Path, image: pathlib.Path, missing: frozenset[str] = frozenset()) -> None:
        self.directory, self.image = directory, image
        self.run_directory = directory / "run"
        self.run_directory.mkdir()
        self.cgroups = Cgroups()
        self.zygote = Zygote(str(self.run_directory), missing=missing)

    def make(self, *names: str) -> str:
        path = self.directory.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def sandbox_spec(self, name: str = "web", **changes: Any) -> wire.SandboxSpec:
        spec = wire.SandboxSpec(
            "u-" + name, name, "proj", self.make("sandboxes", name), str(self.run_directory), hostname=name
        )
        return spec._replace(**changes)

    @contextlib.asynccontextmanager
    async def sandbox(self, name: str = "web", **changes: Any) -> AsyncIterator["Sandbox"]:
        shim = await self.zygote.fork_shim(self.sandbox_spec(name, **changes))
        async with running(self, shim) as sandbox:
            yield sandbox

    def spec(self, *argv: str, container: str = "c1", **changes: Any) -> wire.StartSpec:
        spec = wire.StartSpec(
            container=container,
            run="1",
            run_directory=self.make(container, "run"),
            root_path=self.make(container, "root"),
            log_path=str(self.directory / container / "log"),
            argv=argv,
            overlays=(
                wire.Overlay("/", (str(self.image),), self.make(container, "upper"), self.make(container, "work")),
            ),
            cgroups=self.cgroups.spec,
        )
        return spec._replace(**changes)

    def log(self, container: str = "c1") -> list[reading.Record]:
        reader = reading.Reader(str(self.directory / container / "log"))
        try:
            return [record for records in iter(reader.read, []) for record in records]
        finally:
            reader.close()

    def output(self, container: str = "c1", stream: str = "") -> str:
        """What it wrote, as it wrote it."""
        return "".join(
            record.text.decode() + ("\n" if record.is_end else "")
            for record in self.log(container)
            if not stream or record.stream == stream
        )

    def clean_up(self) -> None:
        """End everything, and make sure that nothing is left."""
        self.zygote.close()
        try:
            eventually(lambda: not processes(str(self.run_directory)))
            eventually(lambda: not self.cgroups.pids())
        finally:
            # a failed test leaves nothing either
            for pid in {*processes(str(self.run_directory)), *self.cgroups.pids()}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.cgroups.remove()
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        assert str(self.directory) not in mounts


class Sandbox:
    def __init__(self, lab: Lab, shim: shims.Shim, pid: int) -> None:
        self.lab, self.shim, self.pid = lab, shim, pid
        self._exits = shim.exits()

    async def exit(self) -> wire.Exit:
        with anyio.fail_after(DEADLINE_S):
            async for found in self._exits:
                return found
        raise AssertionError("the shim is gone")

    async def run(self, *argv: str, **changes: Any) -> wire.Exit:
        """Start a container and wait for its end."""
        await self.shim.start(self.lab.spec(*argv, **changes))
        return await self.exit()

    async def output(self, *argv: str, **changes: Any) -> str:
        """What a container of its own writes in a run that ends with 0."""
        container = changes.pop("container", f"c{secrets.token_hex(4)}")
        found = await self.run(*argv, container=container, **changes)
        text = self.lab.output(container)
        assert found.code == 0, text
        return text

    async def exec(self, *argv: str, container: str = "c1", **changes: Any) -> tuple[int, str]:
        """Give the exit code and all output of a command without input."""
        with await self.shim.exec(wire.ExecSpec(container, argv)._replace(**changes)) as session:
            text = [b""]

            async def collect(descriptor: int) -> None:
                text[0] += await read_all(descriptor)

            async with anyio.create_task_group() as tasks:
                for descriptor in session.descriptors[1:]:
                    tasks.start_soon(collect, descriptor)
            return await session.wait(), text[0].decode()


async def read_all(descriptor: int) -> bytes:
    """Everything until the end; a pty ends with EIO."""
    data = b""
    with anyio.fail_after(DEADLINE_S):
        while True:
            await anyio.wait_readable(descriptor)
            try:
                block = os.read(descriptor, 65536)
            except OSError:
                return data
            if not block:
                return data
            data += block


@contextlib.asynccontextmanager
async def running(lab: Lab, shim: shims.Shim) -> AsyncIterator[Sandbox]:
    """Carry a shim's messages meanwhile; afterwards it is gone."""
    recorded = shim_records.identity_of(shim.directory)
    assert recorded is not None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shim.run)
        try:
            yield Sandbox(lab, shim, recorded.pid)
        finally:
            with anyio.move_on_after(DEADLINE_S, shield=True):
                await shims.end(shim.directory)
            tasks.cancel_scope.cancel()


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A root file system with a static busybox; read-only to the tests."""
    return make_busybox_root(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def lab(tmp_path: pathlib.Path, busybox_root: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Where containers can be started; checks in the end that nothing is left. Its parameter: kernel features to miss."""
    it = Lab(tmp_path, busybox_root, getattr(request, "param", frozenset()))
    try:
        yield it
    finally:
        it.clean_up()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
