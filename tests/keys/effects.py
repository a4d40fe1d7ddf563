"""What an edit of a key costs: told by the planner, as `corral plan` would."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from engine.types.configs import NetworkConfig, VolumeConfig
from engine.types.infos import NetworkInfo, VolumeInfo
from reconciler.resource import Action, Change
from specs import loader, validate
from tests.keys.rows import Part, Row
from tests.reconciler.scenes import Scene

DOCUMENT: dict[str, Any] = {
    "name": "p",
    "services": {
        "a": {"image": "host", "command": "sleep 1", "volumes": ["data:/data"], "configs": ["c"], "secrets": ["s"]},
        "b": {"image": "host", "command": "sleep 1", "networks": ["default", "other"], "volumes": ["old:/old"]},
        "keeper": {"image": "host", "configs": ["other"], "secrets": ["other"]},
    },
    "networks": {
        "default": {"ipam": {"config": [{"subnet": "10.9.0.0/24"}]}},
        "other": {},
        "six": {"enable_ipv6": True, "ipam": {"config": [{"subnet": "fd12::/64"}]}},
    },
    "volumes": {"data": {}, "old": {}},
    "configs": {"c": {"content": "text"}, "other": {"content": "text"}},
    "secrets": {"s": {"environment": "V"}, "other": {"environment": "V"}},
}
PARTS = {"services": "a", "networks": "default", "volumes": "data", "configs": "c", "secrets": "s"}
FOREIGN = (
    NetworkInfo(NetworkConfig("there", "q", "there", "10.7.0.0/24", "10.7.0.1"), "network-there"),
    VolumeInfo(VolumeConfig("there", "q", "there"), "volume-there"),
)
KINDS = ("volume", "container", "sandbox", "network", "endpoint")
ANEW = {
    "volume": "refused: data is never replaced",
    "container": "new container",
    "sandbox": "new sandbox",
    "endpoint": "new cable",
    "network": "new network",
}
NOTHING = "nothing"


def of(row: Row) -> str:
    """Raises AssertionError where the row's document is not valid."""
    if not row.after:
        return ""
    scene = Scene()
    scene.foreign = list(FOREIGN)
    scene.up(_canonical(row, row.before)).come_true()
    told = scene.up(_canonical(row, row.after)).forecast()
    if any(blocked.id.startswith("volume:") for blocked in told.blocked):
        return ANEW["volume"]
    return _words([change for change in told.changes if not change.id.startswith("image:")])


def _words(changes: list[Change]) -> str:
    for kind in KINDS:
        mine = [change for change in changes if change.id.startswith(f"{kind}:")]
        if any(change.action is Action.REPLACE for change in mine):
            return ANEW[kind]
        if any(change.action in (Action.CREATE, Action.REMOVE) for change in mine):
            return ANEW[kind] if kind != "container" else "more or fewer"
    return "live" if changes else NOTHING


def _canonical(row: Row, part: Part) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    section = row.path.split(".")[0]
    whole = document[section][PARTS[section]]
    for key, value in part.items():
        if value is None:
            whole.pop(key)
        else:
            whole[key] = value
    if whole.get("network_mode"):
        whole.pop("networks", None)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_text("in the file")
        (Path(folder) / "file.labels").write_text("from=file")
        (Path(folder) / "compose.yaml").write_text(json.dumps(document))
        options = loader.LoadOptions(
            cwd=folder, environment={"V": "v", "W": "w", "HOME": folder}, profiles=("p",), any_image=True
        )
        loaded = loader.load(options)
    validate.project(loaded.canonical)
    return loaded.canonical
