"""The documents that the rows are parts of."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from specs import loader, validate
from tests.keys.rows import Part, Row

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


def canonical(row: Row, part: Part) -> loader.Loaded:
    """The document with this part in it. Raises SpecErrors."""
    document = copy.deepcopy(DOCUMENT)
    section = row.path.split(".")[0]
    whole = document[section][PARTS[section]] if section in PARTS else document
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
        environment = {"V": "v", "W": "w", "HOME": folder}
        loaded = loader.load(loader.LoadOptions(cwd=folder, environment=environment, profiles=("p",), any_image=True))
    validate.project(loaded.canonical)
    return loaded
