"""Those that are measured, with the same verbs: how each is started, told a command, asked for a pid, ended."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import IO, Any, Protocol

import project
from fetched import PODMAN_COMPOSE, Places
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
        """Without what a developer's shell may say: to compile all modules again with each command."""
        users = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return users | {"CORRAL_ROOT": str(self._folder / "corral"), "CORRAL_RUN": "/run/corral"}

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
        pathlib.Path(self._socket).parent.mkdir(exist_ok=True)
        with open(self._folder / "dockerd.log", "ab") as log:
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
            archived(self._folder / "rootfs", file)
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


PODMAN_CONFIGURATION = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
conmon_path = ["{unpacked}/usr/bin/conmon"]
helper_binaries_dir = ["{unpacked}/usr/lib/podman"]
runtime = "runc"
init_path = "{init}"
[engine.runtimes]
runc = ["{docker}/usr/sbin/runc", "{docker}/usr/bin/runc"]
[network]
network_backend = "netavark"
network_config_dir = "/run/podman-bench/networks"
"""
PODMAN_STORAGE = """\
[storage]
driver = "overlay"
runroot = "/run/podman-bench/run"
graphroot = "{folder}/podman"
"""
TRUST_ALL = '{"default": [{"type": "insecureAcceptAnything"}]}'


class PodmanCompose:
    """Has no daemon."""

    name = "podman-compose"
    image = "localhost/bench:latest"

    def __init__(self, places: Places, folder: pathlib.Path) -> None:
        self._places, self._folder = places, folder
        self._settings = pathlib.Path("/run/podman-bench")

    @property
    def environment(self) -> dict[str, str]:
        unpacked = self._places.podman
        return os.environ | {
            "PATH": f"{unpacked}/usr/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(self._places.podman_compose),
            "CONTAINERS_CONF": str(self._settings / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self._settings / "storage.conf"),
            "HOME": str(self._folder),
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(self._places.podman_compose / "podman_compose.py"), *words]

    def start(self) -> None:
        self._settings.mkdir()
        places = {"unpacked": self._places.podman, "docker": self._places.engine, "init": self._places.init}
        (self._settings / "containers.conf").write_text(PODMAN_CONFIGURATION.format(**places))
        (self._settings / "storage.conf").write_text(PODMAN_STORAGE.format(folder=self._folder))
        etc = pathlib.Path("/etc")  # the room's own
        (etc / "containers").mkdir(exist_ok=True)
        (etc / "containers/policy.json").write_text(TRUST_ALL)
        libraries = next((self._places.podman / "usr/lib").glob("*-linux-gnu"))
        (etc / "ld.so.conf.d/podman.conf").write_text(f"{libraries}\n")
        subprocess.run(["ldconfig"], check=True)  # conmon starts podman again, without our environment
        with tempfile.TemporaryFile() as file:
            archived(self._folder / "rootfs", file)
            self._podman("import", "-", self.image, stdin=file)

    def stop(self) -> None: ...

    def pid(self, folder: pathlib.Path, service: str) -> int:
        return int(self._podman("inspect", "--format", "{{.State.Pid}}", f"bench_{service}_1"))

    def version(self) -> str:
        words = self._podman("version", "--format", "{{.Client.Version}}").strip()
        return f"{PODMAN_COMPOSE.replace('==', ' ')}; Debian's podman {words}, with conmon, netavark and docker's runc"

    def _podman(self, *words: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> str:
        argv = [str(self._places.podman / "usr/bin/podman"), *words]
        done = subprocess.run(
            argv, env=self.environment, stdin=stdin, capture_output=True, text=True, timeout=COMMAND_S
        )
        if done.returncode:
            raise SystemExit(f"podman {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def archived(top: pathlib.Path, file: IO[bytes]) -> None:
    """The directory as a tar file, read from its beginning."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(top, arcname=".")
    file.seek(0)


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
