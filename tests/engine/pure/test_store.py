"""Records survive what happens to files, and nothing edited is believed."""

import json
import pathlib

import pytest

from engine import errors
from engine.records import store
from engine.types.configs import ContainerConfig, NetworkConfig
from engine.types.parts import BindMount, PortMap, TmpfsMount, VolumeMount

CONTAINER = ContainerConfig(
    name="p-web-1",
    project="p",
    service="web",
    number=1,
    slot="web",
    sandbox="web",
    image="host",
    command=("sleep", "1"),
    mounts=(BindMount("/a", "/b"), VolumeMount("p_data", "/data", read_only=True), TmpfsMount("/tmp", 1 << 20)),
    ports=(PortMap("0.0.0.0", 80, 8080),),
)


def test_a_record_comes_back_equal(tmp_path: pathlib.Path) -> None:
    record = store.ContainerRecord(CONTAINER, uid=store.new_uid(), image_uid="host", created_at=1.5)
    path = str(tmp_path / "record.json")
    store.write(path, record)
    assert store.read(store.ContainerRecord, path) == record
    assert (tmp_path / "record.json").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


LATER = (
    "groups",
    "read_only",
    "shm_bytes",
    "ulimits",
    "oom_score_adj",
    "sysctls",
    "security",
    "devices",
    "device_rules",
    "block_io",
)
LATER_LIMITS = (
    *("reservation_bytes", "swappiness", "oom_kill_disable", "cpu_period_us", "cpu_quota_us"),
    *("rt_runtime_us", "rt_period_us"),
)
"""What a ContainerConfig did not have once."""


def test_a_record_of_an_older_corral_is_read(tmp_path: pathlib.Path) -> None:
    record = store.ContainerRecord(CONTAINER, uid="u", image_uid="host")
    written = json.loads(store.adapter(store.ContainerRecord).dump_json(record))
    for name in LATER:
        del written["config"][name]
    for name in LATER_LIMITS:
        del written["config"]["limits"][name]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(written))
    assert store.read(store.ContainerRecord, str(path)) == record


@pytest.mark.parametrize("content", ["", "{", "[]", '{"uid": 3}', '{"config": null, "uid": "a", "bridge": "b"}'])
def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path: pathlib.Path, content: str) -> None:
    path = tmp_path / "network.json"
    path.write_text(content)
    with pytest.raises(errors.RecordError, match=r"network\.json"):
        store.read(store.NetworkRecord, str(path))


def test_an_instance_is_chosen_once(tmp_path: pathlib.Path) -> None:
    first = store.instance_of(str(tmp_path))
    assert store.instance_of(str(tmp_path)) == first
    (tmp_path / "instance").write_text("../../etc")
    with pytest.raises(errors.RecordError, match="instance"):
        store.instance_of(str(tmp_path))


def test_a_half_written_draft_does_not_replace_a_record(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "n.json")
    record = store.NetworkRecord(NetworkConfig("p_lab", "p", "lab", "10.1.0.0/24", "10.1.0.1"), "u", "cb0")
    store.write(path, record)
    (tmp_path / "n.json.tmp").write_text("{half")
    assert store.read(store.NetworkRecord, path) == record
