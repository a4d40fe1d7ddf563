"""The disk of a Debian 12 guest, its kernel and its initrd: made once and kept in a cache.

    <cache>/debian-<key>/vmlinuz
                         initrd       busybox and the few modules that find the disk
                         root.ext4    Debian with systemd, the programs that corral is to live beside, and what corral imports

The kernel is Debian's own for clouds, whatever version the archive has. The key is made of this recipe and of what
pyproject.toml asks for. Needs root, and the tools that `make test-guests` installs.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from tests.guests.debian import initrd

TOP = Path(__file__).resolve().parents[3]
SUITE = "bookworm"
KERNEL = "linux-image-cloud-amd64"
SYSTEM = (
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "python3",
    "kmod",
    "procps",
    "iproute2",
    "iptables",
    "busybox-static",
)
TOOLS = (
    "iputils-ping",
    "nftables",
    "socat",
    "binutils",
    "nfs-kernel-server",
    "default-jre-headless",
    "apparmor",
    "systemd-resolved",
)
OTHERS = ("docker.io", "podman", "containernetworking-plugins", "ufw", "firewalld")
"""Who corral lives beside; none of them starts by itself."""

PACKAGES = (*SYSTEM, *TOOLS, *OTHERS)
LEFT_OUT = ("doc", "man", "locale", "info", "bash-completion", "zsh")
DISK_BYTES = 4 << 30
SITE = "usr/local/lib/python3.11/dist-packages"
AGENT = "opt/agent.py"
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
)
QUIET = (
    "apparmor.service",
    "docker.service",
    "docker.socket",
    "containerd.service",
    "ufw.service",
    "firewalld.service",
    "nftables.service",
    "systemd-resolved.service",
)
ALSO_QUIET = (
    "podman.service",
    "podman.socket",
    "podman-restart.service",
    "podman-auto-update.service",
    "podman-auto-update.timer",
    "e2scrub_reap.service",
    "nfs-server.service",
    "nfs-client.target",
    "nfs-blkmap.service",
    "rpcbind.service",
    "rpcbind.socket",
    "rpc-statd-notify.service",
)
COMMAND = """#!/bin/sh
exec /usr/bin/python3 -m orchestrator "$@"
"""
UNIT = """[Unit]
Description=Does what the machine outside asks for
After=basic.target dbus.socket

[Service]
ExecStartPre=/sbin/modprobe virtio_console
ExecStart=/usr/bin/python3 -I -S /opt/agent.py
Restart=always
KillMode=process
LimitNOFILE=524288

[Install]
WantedBy=multi-user.target
"""


def packages_of_python() -> list[str]:
    """What corral and its tests import."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    tests = [each for each in project["optional-dependencies"]["dev"] if each.startswith(("pytest", "hypothesis"))]
    return [*project["dependencies"], *tests]


def key() -> str:
    recipe = [(Path(__file__).parent / name).read_bytes() for name in ("image.py", "initrd.py", "agent.py")]
    return hashlib.sha256(repr((recipe, packages_of_python())).encode()).hexdigest()[:12]


def directory(cache: Path) -> Path:
    """Where kernel, initrd and disk are, made if they are not there yet. They are not to be written to."""
    found = cache / f"debian-{key()}"
    if not found.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as workplace:
            make(Path(workplace))
            os.chmod(workplace, 0o755)
            os.rename(workplace, found)
            os.mkdir(workplace)
    return found


def make(workplace: Path) -> None:
    root = workplace / "root"
    root.mkdir()
    install_debian(root)
    version = install_kernel(workplace, root)
    install_python(root)
    settle(root)
    (workplace / "initrd").write_bytes(initrd.archive(root, version))
    disk = workplace / "root.ext4"
    run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk), f"{DISK_BYTES >> 20}M")
    shutil.rmtree(root)


def install_debian(root: Path) -> None:
    run(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"),
        '--essential-hook=mkdir -p "$1/usr/share/man/man1"',  # Java's packages take it for granted
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
        *('--aptopt=Acquire::Languages "none"', SUITE, str(root)),
    )


def install_kernel(workplace: Path, root: Path) -> str:
    """Unpack kernel and modules; its version."""
    depends = run("apt-cache", "depends", KERNEL).splitlines()
    package = next(line.split()[-1] for line in depends if "Depends: linux-image" in line)
    run("apt-get", "-q", "download", package, cwd=workplace)
    archive = next(workplace.glob("*.deb"))
    unpacked = workplace / "kernel"
    run("dpkg-deb", "-x", str(archive), str(unpacked))
    kernel = next((unpacked / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    shutil.move(kernel, workplace / "vmlinuz")
    shutil.copytree(unpacked / "lib/modules", root / "usr/lib/modules", dirs_exist_ok=True, symlinks=True)
    run("chroot", str(root), "depmod", version)
    shutil.rmtree(unpacked)
    archive.unlink()
    return version


def install_python(root: Path) -> None:
    """Wheels for the guest's interpreter, whatever runs here; compiled, since an emulated machine is slow at that."""
    wheels = ("--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--platform=manylinux2014_x86_64")
    pip = (str(TOP / ".venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, *wheels, f"--target={root / SITE}", *packages_of_python())
    run("chroot", str(root), "python3", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", f"/{SITE}")


def settle(root: Path) -> None:
    """A machine with a name, the agent, no network of its own, and nothing that starts unasked."""
    shutil.copy(Path(__file__).parent / "agent.py", root / AGENT)
    (root / "etc/systemd/system/agent.service").write_text(UNIT)
    (root / SITE / "corral.pth").write_text("/opt/corral\n")
    (root / "usr/local/bin/corral").write_text(COMMAND)
    (root / "usr/local/bin/corral").chmod(0o755)
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)  # it may be a link to what systemd-resolved writes
    (root / "etc/resolv.conf").write_text("nameserver 203.0.113.2\n")
    (root / "etc/fstab").write_text("")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    offline = ("systemctl", f"--root={root}")
    run(*offline, "mask", *MASKED)
    run(*offline, "disable", *QUIET, *ALSO_QUIET, check=False)
    run(*offline, "enable", "agent.service")
    run(*offline, "set-default", "multi-user.target")


def run(*argv: str, cwd: Path | None = None, check: bool = True) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
