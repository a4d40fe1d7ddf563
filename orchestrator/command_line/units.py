"""The daemon as a unit of systemd's, from the client's side.

Where systemd runs the machine, the daemon is not a child of whoever needs it first, but a unit that survives a logout:
the installed `corral.service` (packaging/corral.service), or else a transient unit, made with `systemd-run`. Each run folder has
a unit of its own, so several corrals live side by side.
"""

import os
import subprocess
import zlib

from orchestrator import settings

BOOTED = "/run/systemd/system"  # sd_booted(3)
INSTALLED = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
PROPERTIES = (
    "Delegate=yes",
    "KillMode=process",
    "Restart=on-failure",
    "RestartSec=0.2",
    "RestartPreventExitStatus=75",  # client.OTHER_HOLDS_THE_ROOT
    "TasksMax=infinity",
    "LimitNOFILE=1048576",
    "OOMScoreAdjust=-500",
    "TimeoutStartSec=120",
    "TimeoutStopSec=120",
)
"""As in packaging/corral.service."""

TAKEN = "already"
"""systemd's word for a name whose unit has not quite gone."""

SYSTEMD_S = 150.0
LOG_LINES = 15


def is_at_hand() -> bool:
    """systemd runs the machine that we are on: what it starts has our network and our file systems."""
    if not os.path.isdir(BOOTED) or os.geteuid() != 0:
        return False
    return all(os.readlink(f"/proc/self/ns/{kind}") == os.readlink(f"/proc/1/ns/{kind}") for kind in ("net", "mnt"))


def name_of(places: settings.Places) -> str:
    """The unit of the daemon with these places."""
    if places == settings.places({}):
        return "corral.service"
    return f"corral-{zlib.crc32(os.fsencode(places.run)):08x}.service"


def start(places: settings.Places, argv: list[str], environment: dict[str, str]) -> str:
    """Start it, and wait until it is ready; "" or what systemd says against it."""
    name = name_of(places)
    if is_installed(name):
        return _run("systemctl", "start", name)[1]
    words = ["systemd-run", "--quiet", "--collect", f"--unit={name}", "--service-type=notify"]
    words.append("--description=Keeps containers as they are declared")
    words += [f"--property={each}" for each in PROPERTIES]
    words += [f"--setenv={key}={value}" for key, value in environment.items()]
    return _run(*words, *argv)[1]


def give_up(name: str) -> None:
    """Do not let a transient unit go on trying what has failed while somebody waited."""
    if not is_installed(name):
        _run("systemctl", "stop", name)


def log_of(name: str) -> str:
    """The end of what it wrote."""
    return _run("journalctl", "--no-pager", "--quiet", "-o", "cat", "-n", str(LOG_LINES), "-u", name)[0]


def is_installed(name: str) -> bool:
    """A unit file of this name is there for every boot."""
    return any(os.path.lexists(f"{folder}/{name}") for folder in INSTALLED)


def _run(*argv: str) -> tuple[str, str]:
    """What it wrote, and what it complained of if it failed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SYSTEMD_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return done.stdout, (done.stderr.strip() or f"{argv[0]} ended with {done.returncode}") if done.returncode else ""
