"""The two that are measured, with the same verbs: how each is started, told a command, asked for a pid, ended."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import tarfile
import tempfile
import time
from typing import Any, Protocol

import project
from fetched import Places
from room import CGROUP_PARENT

READY_S = 30.0
COMMAND_S = 180.0


class CommandError(SystemExit):
    """A command failed; not caught, it ends the benchmark with what the command said."""


class Rival(Protocol):
    name: str
    image: str

    def start(self) -> None:
        """Start the daemon and make the image present."""

    def stop(self) -> None: ...
    def pid(self, folder: pathlib.Path, service: str) -> int:
        """The first process of the service's container, as this machine sees it."""

    def command(self, *words: str) -> list[str]: ...
    @property
    def environment(self) -> dict[str, str]: ...
    def version(self) -> str: ...


def run(rival: Rival, folder: pathlib.Path, *words: str) -> str:
    """Run a command of the rival's in a project folder; what it printed."""
    try:
        done = subprocess.run(
            rival.command(*words),
            cwd=folder,
            env=rival.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"{rival.name} {' '.join(words)}: does not end within {COMMAND_S:g} s") from error
    if done.returncode:
        raise CommandError(f"{rival.name} {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Corral:
    name = "corral"

    def __init__(self, places: Places, folder: pathlib.Path) -> None:
        self._program, self._folder = places.corral, folder
        self.image = f"rootfs:{folder / 'rootfs'}"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"CORRAL_ROOT": str(self._folder / "corral"), "CORRAL_RUN": "/run/corral"}

    def command(self, *words: str) -> list[str]:
        return [str(self._program), *words]

    def start(self) -> None:
        run(self, self._folder, "daemon", "start")

    def stop(self) -> None:
        run(self, self._folder, "daemon", "stop")

    def pid(self, folder: pathlib.Path, service: str) -> int:
        row = json.loads(run(self, folder, "ps", "--format", "json", service))
        return int(row["Pid"])

    def version(self) -> str:
        return run(self, self._folder, "version").strip()


class Compose:
    name = "compose"
    image = "bench:latest"

    def __init__(self, places: Places, folder: pathlib.Path) -> None:
        self._places, self._folder = places, folder
        self._socket = "/run/docker-bench/docker.sock"
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"DOCKER_HOST": f"unix://{self._socket}", "HOME": str(self._folder)}

    def command(self, *words: str) -> list[str]:
        return [str(self._places.compose), *words]

    def start(self) -> None:
        pathlib.Path(self._socket).parent.mkdir()
        with open(self._folder / "dockerd.log", "wb") as log:
            self._daemon = subprocess.Popen(
                [
                    *("dockerd", "--host", f"unix://{self._socket}"),
                    *("--data-root", self._folder / "docker"),
                    *("--exec-root", "/run/docker-bench/exec", "--pidfile", "/run/docker-bench/pid"),
                    *("--init-path", self._places.init, "--cgroup-parent", CGROUP_PARENT),
                ],
                env=os.environ | {"PATH": self._places.path},
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()
        self._import()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                if self.ask("GET", "/_ping") == b"OK":
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"dockerd does not answer:\n{(self._folder / 'dockerd.log').read_text()[-3000:]}")

    def _import(self) -> None:
        """What `docker import` does."""
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                archive.add(self._folder / "rootfs", arcname=".")
            file.seek(0)
            self.ask("POST", "/images/create?fromSrc=-&repo=bench&tag=latest", file.read())

    def stop(self) -> None:
        if self._daemon:
            self._daemon.terminate()
            self._daemon.wait(30)

    def pid(self, folder: pathlib.Path, service: str) -> int:
        found = json.loads(self.ask("GET", f"/containers/bench-{service}-1/json"))
        return int(found["State"]["Pid"])

    def version(self) -> str:
        compose = run(self, self._folder, "version", "--short").strip()
        parts = {each["Name"]: each["Version"] for each in json.loads(self.ask("GET", "/version"))["Components"]}
        engine = ", ".join(f"{name} {parts[name]}" for name in ("containerd", "runc") if name in parts)
        return f"docker compose {compose}; Debian's dockerd {parts['Engine']} ({engine})"

    def ask(self, verb: str, url: str, body: bytes | None = None) -> bytes:
        connection = _UnixConnection(self._socket)
        try:
            connection.request(verb, url, body, {"Content-Type": "application/x-tar"} if body else {})
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise SystemExit(f"dockerd: {verb} {url}: {answer.status} {said.decode(errors='replace')}")
        return said


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock: Any = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def write_projects(rival: Rival, folder: pathlib.Path, sizes: list[int]) -> dict[int, pathlib.Path]:
    """A folder with a compose file for each size."""
    folders = {}
    for size in sizes:
        folders[size] = folder / f"{rival.name}-{size}"
        folders[size].mkdir()
        (folders[size] / "compose.yaml").write_text(project.compose_file(size, rival.image))
    return folders
