"""What a user has: a folder with a compose.yaml, and the command `corral`. And what nobody may be left with afterwards."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import slowness
from tests.e2e import machine

TOP = pathlib.Path(__file__).parent.parent.parent
ARTIFACTS = TOP / "artifacts" / "e2e"
PATIENCE_S = 20.0
STAY_IDLE = ("corral zygote ", "corral dns ")
"""What is started when it is first needed, and stays with the daemon."""


def eventually(check: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """Call until it neither raises AssertionError nor is false; what it returned. The last failure is raised at the deadline."""
    deadline = time.monotonic() + slowness.scaled(timeout_s)
    while True:
        try:
            found = check()
            assert found, f"still {found!r}"
            return found
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class Corral:
    """One corral: its state, its run folder and its processes, on a machine. Many labs use it, one after the other."""

    def __init__(self, host: machine.Machine | machine.RealMachine, image: pathlib.Path) -> None:
        self.machine = host
        self.image = f"rootfs:{image}"
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="corral-e2e-"))
        self.root, self.run_folder = self.top / "root", self.top / "run"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("CORRAL_", "COMPOSE_"))
        } | {"CORRAL_ROOT": str(self.root), "CORRAL_RUN": str(self.run_folder), "PYTHONPATH": str(TOP)}
        self.before = self.machine.snapshot()
        self.failed = False
        self._count = 0

    @property
    def instance(self) -> str:
        path = self.root / "instance"
        return path.read_text().strip() if path.exists() else "no corral has this name"

    def own_processes(self) -> dict[int, str]:
        """Daemon, zygote, dns, shims: all that name this run folder, and no client. A program that the daemon starts has the
        daemon's command line until its exec: that moment is waited for, and one that never ends is a failure.
        """

        def found() -> list[dict[int, str]]:
            lines = machine.processes(str(self.run_folder))
            ours = {pid: line for pid, line in lines.items() if line.startswith("corral ")}
            daemons = {pid for pid, line in ours.items() if line.startswith("corral daemon ")}
            unborn = {pid for pid in daemons if machine.parent_of(pid) in daemons}
            assert not unborn, f"children of the daemon that have not become what they are to be: {unborn}"
            return [ours]

        return eventually(found)[0]  # type: ignore[no-any-return]

    def snapshot(self) -> dict[str, object]:
        """All that a project could leave."""
        instance = self.instance
        return {
            **self.machine.snapshot(),
            "cgroups": machine.cgroups_of(instance),
            "in cgroups": sorted(machine.in_cgroups(instance).values()),
            "processes": sorted(line for line in self.own_processes().values() if not line.startswith(STAY_IDLE)),
            "shared memory": sorted(name for name in os.listdir("/dev/shm") if "corral" in name),
            "files": sorted(self._files()),
        }

    def _files(self) -> Iterator[str]:
        for top in (self.root, self.run_folder):
            for folder, names, files in os.walk(top):
                if folder == str(self.root):
                    names.remove("images") if "images" in names else None
                for name in (*names, *files):
                    path = os.path.relpath(os.path.join(folder, name), self.top)
                    if not path.startswith(("run/dns", "run/health.json")):
                        yield path

    @contextlib.contextmanager
    def lab(self, name: str = "") -> Iterator["Lab"]:
        """A project of its own; at the end it is taken down, and nothing of it may be left."""
        self._count += 1
        laboratory = Lab(self, name or f"p{self._count}")
        laboratory.corral("daemon", "start")
        before = self.snapshot()
        try:
            yield laboratory
        finally:
            try:
                laboratory.end()
            except BaseException:
                self.failed = True
                raise
        try:
            assert_same(before, self.snapshot)
        except AssertionError:
            self.failed = True
            raise

    def end(self) -> None:
        """Stop the daemon; nothing at all of this corral may be left on the machine."""
        try:
            if self.run_folder.exists():
                Lab(self, "end").corral("daemon", "stop")
                eventually(lambda: not self.own_processes() or self.own_processes())
                eventually(
                    lambda: self.own_processes() == {} or pytest.fail(f"still there: {self.own_processes()}"), 10
                )
                assert machine.in_cgroups(self.instance) == {}
                assert machine.cgroups_of(self.instance) == []
            assert_same(self.before, self.machine.snapshot)
        finally:
            for pid in self.own_processes():  # only after a failure
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            shutil.rmtree(self.top, ignore_errors=True)


def assert_same(before: dict[str, object], look: Callable[[], dict[str, object]], timeout_s: float = 10.0) -> None:
    """The machine is as it was. The kernel takes namespaces and cables away a little later than their last process."""
    deadline = time.monotonic() + slowness.scaled(timeout_s)
    while (after := look()) != before:
        if time.monotonic() > deadline:
            raise AssertionError("\n".join(["something is left, or gone:", *differences(before, after)]))
        time.sleep(0.05)


def differences(before: dict[str, object], after: dict[str, object]) -> Iterator[str]:
    for key in before:
        old, new = before[key], after[key]
        if old != new:
            assert isinstance(old, list)
            assert isinstance(new, list)
            yield f"  {key}: gone {[each for each in old if each not in new]} left {[each for each in new if each not in old]}"


class Lab:
    """A project folder of a corral's."""

    def __init__(self, owner: Corral, project: str) -> None:
        self.owner, self.project, self.machine = owner, project, owner.machine
        self.folder = owner.top / f"folder-{project}"
        self.folder.mkdir(exist_ok=True)
        self.environment = owner.environment | {"COMPOSE_PROJECT_NAME": project}
        self.run_folder = owner.run_folder

    # ------------------------------------------------------------------------------------------------- commands

    def write(self, text: str, name: str = "compose.yaml") -> None:
        """`IMAGE` in the text is the busybox root."""
        (self.folder / name).write_text(text.replace("IMAGE", self.owner.image))

    def popen(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *words],
                preexec_fn=self.machine.enter(str(self.folder)),  # single-threaded, and does three system calls
                env=self.environment,
                text=True,
                **options,
            )
        finally:
            self.machine.entered()

    def corral(
        self, *words: str, code: int | None = 0, timeout: float = 60, stdin: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command; its exit code must be `code` (None: any)."""
        source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        with self.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=source) as process:
            try:
                out, err = process.communicate(stdin, timeout=slowness.scaled(timeout))
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                pytest.fail(f"corral {' '.join(words)} did not end in {timeout} s\n{out}\n{err}\n{self.daemon_log()}")
        if code is not None and process.returncode != code:
            pytest.fail(f"corral {' '.join(words)}: exit {process.returncode}, expected {code}\n{out}\n{err}")
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def up(self, text: str = "", *words: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        """Write the file (if any) and `corral up -d`."""
        if text:
            self.write(text)
        return self.corral("up", "-d", *words, code=code)

    def out(self, *words: str) -> str:
        return self.corral(*words).stdout

    def refusal(self, *words: str) -> str:
        """What the command complains of; it must fail."""
        return self.corral(*words, code=1).stderr

    def exec(self, service: str, *argv: str, code: int | None = 0) -> str:
        return self.corral("exec", "-T", service, *argv, code=code).stdout

    def touch(self, service: str, path: str) -> None:
        """Make a file in its container, without a process there that ends with it."""
        pathlib.Path(f"/proc/{self.pid(service)}/root{path}").touch()

    def ps(self, *words: str) -> dict[str, dict[str, Any]]:
        """Mapping from a container's name without the project to its line of `ps -a --format json`."""
        lines = self.out("ps", "-a", "--format", "json", *words).splitlines()
        return {line["Name"].removeprefix(f"{self.project}-"): line for line in map(json.loads, lines)}

    def states(self) -> dict[str, str]:
        return {name: line["State"] for name, line in self.ps().items()}

    # -------------------------------------------------------------------------------------- what the kernel says

    def pid(self, name: str) -> int:
        """Of the container's pid 1, as this machine sees it: `name` is a service, or SERVICE-N."""
        pid = self.ps()[name if re.search(r"-\d+$", name) else f"{name}-1"]["Pid"]
        assert isinstance(pid, int)
        assert pid > 0, f"{name} does not run"
        assert machine.is_alive(pid)
        return pid

    def pids(self) -> dict[str, int]:
        return {name: line["Pid"] for name, line in self.ps().items()}

    def place(self, name: str) -> machine.Place:
        """The network namespace of a container."""
        return machine.Place(self.pid(name))

    def address(self, name: str) -> str:
        """Of a container in its first network, by `ip`."""
        found = json.loads(self.place(name).sh("ip -j -4 addr show dev eth0"))
        return str(found[0]["addr_info"][0]["local"])

    def process(self, title: str) -> int:
        """The one process of this corral whose command line begins so. A child that is about to become a program has it, too,
        for an instant."""

        def the_one() -> int:
            lines = self.owner.own_processes()
            found = [pid for pid, line in lines.items() if line.startswith(title)]
            assert len(found) == 1, f"{title}: {found} of {lines}"
            return found[0]

        return int(eventually(the_one))

    def kill(self, title: str) -> int:
        """kill -9 one of corral's own processes, and see it gone. Its pid."""
        pid = self.process(title)
        os.kill(pid, 9)
        eventually(lambda: not machine.is_alive(pid))
        return pid

    # ---------------------------------------------------------------------------------------------------- the end

    def daemon_log(self) -> str:
        log = self.run_folder / "daemon.log"
        return log.read_text(errors="replace")[-6000:] if log.exists() else "(no daemon log)"

    def end(self) -> None:
        """Take everything down, whatever the test did."""
        with contextlib.suppress(KeyError):
            del self.environment["COMPOSE_FILE"]
        self.corral("down", "-v", "-t", "0", "--remove-orphans")

    def keep_artifacts(self, test: str) -> None:
        """What one wants to see of a failure, below artifacts/."""
        folder = ARTIFACTS / re.sub(r"[^\w.-]+", "_", test)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in self.folder.glob("*.y*ml"):
            shutil.copy(path, folder)
        texts = {
            "daemon.log": lambda: self.daemon_log(),
            "ps": lambda: self.corral("ps", "-a", code=None, timeout=10).stdout,
            "logs": lambda: self.corral("logs", "-t", code=None, timeout=10).stdout,
            "plan": lambda: self.corral("plan", code=None, timeout=10).stdout,
            "network": lambda: self.machine.sh("ip addr; ip route; iptables-save", check=False),
            "processes": lambda: "\n".join(f"{pid} {line}" for pid, line in self.owner.own_processes().items()),
        }
        for name, text in texts.items():
            try:
                (folder / name).write_text(text())
            except (Exception, pytest.fail.Exception) as error:
                (folder / name).write_text(f"cannot say: {error}")
