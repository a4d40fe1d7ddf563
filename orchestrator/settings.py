"""Where corral keeps things and who may talk to it.

    setting      flag    variable             /etc/corral/config.yaml   default
    root         --root  CORRAL_ROOT                                    /var/lib/corral
    run          --run   CORRAL_RUN                                     /run/corral; for another root: /run/corral-<8 hex>
    group                CORRAL_GROUP         group                     none: the socket is root's alone
    userns               CORRAL_USERNS        userns                    host: services that say nothing have no user namespace

`root` survives a reboot (images, volumes, projects, records), `run` does not (sockets, what lives). Root and run are all
that a command needs; the others are read by the daemon, so no command pays for reading YAML here.

Whoever is in `group` may use the socket, and is thereby equivalent to root.
"""

import os
from collections.abc import Mapping

from engine.process.records import NamedTuple
from orchestrator import errors

DEFAULT_ROOT = "/var/lib/corral"
DEFAULT_RUN = "/run/corral"
CONFIG_FILE = "/etc/corral/config.yaml"
SOCKET_PATH_BYTES = 107  # linux/un.h: sun_path, with its NUL


class Places(NamedTuple):
    """The two folders of one corral, absolute."""

    root: str
    run: str

    @property
    def socket(self) -> str:
        return f"{self.run}/corral.sock"

    @property
    def log(self) -> str:
        return f"{self.run}/daemon.log"

    @property
    def lock(self) -> str:
        return f"{self.root}/daemon.lock"

    @property
    def health(self) -> str:
        return f"{self.run}/health.json"

    @property
    def boot(self) -> str:
        return f"{self.root}/boot"

    @property
    def projects(self) -> str:
        return f"{self.root}/projects"


class Access(NamedTuple):
    """What only the daemon reads. `group`: whose members may use the socket beside root; "" for nobody. `userns`: of
    services that an `up` brings and that say nothing, "host" or "auto"."""

    group: str = ""
    userns: str = "host"


def places(environ: Mapping[str, str], root: str = "", run: str = "") -> Places:
    """The folders that flags (first) and variables name. Raises UsageError for a path too long for a socket."""
    chosen_root = os.path.abspath(root or environ.get("CORRAL_ROOT") or DEFAULT_ROOT)
    chosen_run = run or environ.get("CORRAL_RUN") or _run_beside(chosen_root)
    found = Places(chosen_root, os.path.abspath(chosen_run))
    if len(os.fsencode(found.socket)) > SOCKET_PATH_BYTES:
        raise errors.UsageError(
            f"cannot use {found.run} as run folder: its socket's path would be longer than {SOCKET_PATH_BYTES} bytes",
            hint="choose a shorter one with --run or CORRAL_RUN",
        )
    return found


def _run_beside(root: str) -> str:
    """Two roots never share a run folder, and a run folder is always one that a reboot empties."""
    if root == DEFAULT_ROOT:
        return DEFAULT_RUN
    import zlib

    return f"{DEFAULT_RUN}-{zlib.crc32(os.fsencode(root)):08x}"


def access(environ: Mapping[str, str], config_file: str = CONFIG_FILE) -> Access:
    """What file and variables say. Raises UsageError for what they cannot."""
    said = _read(config_file)
    group = environ.get("CORRAL_GROUP") or said.get("group") or ""
    if not isinstance(group, str):
        raise errors.UsageError(f"cannot use {config_file}: group is the name of a group, not {group!r}")
    userns = environ.get("CORRAL_USERNS") or said.get("userns") or "host"
    if userns not in ("host", "auto"):
        raise errors.UsageError(f"cannot use userns {userns!r} of CORRAL_USERNS or {config_file}: it is host or auto")
    return Access(group, str(userns))


def _read(config_file: str) -> dict[str, object]:
    try:
        with open(config_file, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    import yaml

    try:
        said = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise errors.UsageError(f"cannot read {config_file}: {error}") from error
    if not isinstance(said, dict) or set(said) - {"group", "userns"}:
        raise errors.UsageError(f"cannot use {config_file}: it is a mapping that may have: group, userns")
    return dict(said)
