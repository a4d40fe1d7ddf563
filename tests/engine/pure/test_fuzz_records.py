"""Any bytes in the place of a record: the record, or an error that names the file; and never a path or a name that is not ours."""

import contextlib
import json
import os
import pathlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine import errors
from engine.images.layout import Layer
from engine.process import frames, wire
from engine.records import container_records, shim_records, soundness, store, trusted
from engine.types.configs import ContainerConfig, EndpointConfig, NetworkConfig, SandboxConfig, VolumeConfig
from engine.types.parts import BindMount, PortMap, TmpfsMount, VolumeMount
from tests import fuzzing

UID, OTHER = "ab" * 32, "cd" * 32
RECORDS: dict[str, Any] = {
    "volume": store.VolumeRecord(VolumeConfig("p_data", "p", "data"), UID, whole=True),
    "network": store.NetworkRecord(NetworkConfig("p_lab", "p", "lab", "10.1.0.0/24", "10.1.0.1"), UID, f"cb{UID[:10]}"),
    "sandbox": store.SandboxRecord(SandboxConfig("web", "p", hostname="web"), UID, whole=True),
    "endpoint": store.EndpointRecord(
        EndpointConfig("p", "web", "p_lab", "lab", "10.1.0.2", 24, "10.1.0.1", "web.p", ("web",)),
        *(UID, OTHER, OTHER, f"cv{UID[:10]}", "eth0"),
    ),
    "container": store.ContainerRecord(
        ContainerConfig(
            *("p-web-1", "p", "web", 1, "web", "web", "host"),
            command=("sleep", "1"),
            mounts=(BindMount("/a", "/b"), VolumeMount("p_data", "/data"), TmpfsMount("/tmp", 1 << 20)),
            ports=(PortMap("0.0.0.0", 80, 8080),),
        ),
        UID,
        "host",
        (Layer("/usr", ("/usr",)),),
        created_at=1.5,
        whole=True,
    ),
    "run": store.RunRecord("r1", OTHER, "boot", 1.5),
}
EXIT = wire.Exit(UID, "r1", 0, False, False, 1.5, 2.5)
IDENTITY = wire.Identity(1, 2, 3, "boot")


def text_of(record: Any) -> bytes:
    return trusted.sealed(store.adapter(type(record)).dump_json(record))


def read(kind: Any, path: pathlib.Path, content: bytes) -> Any:
    """The record, or None where it was refused, by the name of the file."""
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        found = store.read(kind, str(path))
        if not isinstance(found, store.VolumeRecord | store.RunRecord):
            soundness.check(found, UID, str(path))
    except errors.RecordError as error:
        assert str(path) in str(error)  # noqa: PT017 - either way is right
        return None
    return found


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_whole_or_refused(tmp_path: pathlib.Path, name: str) -> None:
    text, kind = text_of(RECORDS[name]), type(RECORDS[name])
    assert read(kind, tmp_path / "r.json", text) == RECORDS[name]
    for length in {*range(0, len(text), 7), *range(len(text) - 30, len(text))}:
        assert read(kind, tmp_path / "r.json", text[:length]) is None, text[:length]
    for at in range(0, len(text), 11):
        flipped = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        assert read(kind, tmp_path / "r.json", flipped) in (None, RECORDS[name]), flipped


@pytest.mark.parametrize(
    ("slot", "is_sound"),
    [("web/pre_start-0", True), ("web-1", True), ("../web", False), ("web/", False), ("/web", False)],
)
def test_the_slot_of_a_step_is_sound(slot: str, is_sound: bool) -> None:
    record = RECORDS["container"]
    step = replace(record, config=replace(record.config, slot=slot))
    with contextlib.nullcontext() if is_sound else pytest.raises(errors.RecordError, match="no name of a slot"):
        soundness.check(step, UID, "r.json")


@pytest.mark.parametrize("name", RECORDS)
def test_one_leaf_of_a_sealed_record(tmp_path: pathlib.Path, name: str) -> None:
    record = RECORDS[name]
    sealed = json.loads(text_of(record))
    seal = sealed.pop("seal")

    @fuzzing.effort(60)
    @given(fuzzing.mutants(sealed))
    def leaf(mutant: dict[str, Any]) -> None:
        content = json.dumps({**mutant, "seal": seal}, separators=(",", ":")).encode()
        assert read(type(record), tmp_path / "r.json", content) in (None, record)

    leaf()


@pytest.mark.parametrize("name", RECORDS)
def test_one_leaf_of_a_record_whose_seal_was_taken_off(tmp_path: pathlib.Path, name: str) -> None:
    record = RECORDS[name]
    said = json.loads(store.adapter(type(record)).dump_json(record))

    @fuzzing.effort(150)
    @given(fuzzing.mutants(said))
    def leaf(mutant: dict[str, Any]) -> None:
        found = read(type(record), tmp_path / "r.json", json.dumps(mutant).encode())
        match found:
            case store.NetworkRecord():
                assert (found.uid, found.bridge) == (record.uid, record.bridge)
            case store.EndpointRecord():
                assert (found.uid, found.link) == (record.uid, record.link)
                assert "/" not in found.config.network + found.config.sandbox + found.interface
            case store.ContainerRecord():
                assert found.uid == UID
                volumes = [mount.volume for mount in found.config.mounts if isinstance(mount, VolumeMount)]
                assert not any("/" in volume or volume.startswith(".") for volume in volumes)
                assert "/" not in found.config.project
            case store.SandboxRecord():
                assert found.uid == UID
                assert "\n" not in found.config.hostname

    leaf()


@fuzzing.effort(300)
@given(some.binary(max_size=200) | some.text(alphabet='{}[]",:0123456789eE.-truefalsn\\ ').map(str.encode))
def test_any_bytes(tmp_path: pathlib.Path, content: bytes) -> None:
    for record in RECORDS.values():
        assert read(type(record), tmp_path / "r.json", content) is None
    for kind in (wire.Exit, wire.Identity):
        with pytest.raises(errors.RecordError, match=r"r\.json"):
            shim_records.read(kind, str(tmp_path / "r.json"))


@pytest.mark.parametrize("record", [EXIT, IDENTITY])
def test_one_leaf_of_a_record_of_a_shim(tmp_path: pathlib.Path, record: Any) -> None:
    path = tmp_path / "exit.json"

    @fuzzing.effort(150)
    @given(fuzzing.mutants(json.loads(frames.encode(record))))
    def leaf(mutant: Any) -> None:
        path.write_text(json.dumps(mutant))
        try:
            found = shim_records.read(type(record), str(path))
        except errors.RecordError as error:
            assert str(path) in str(error)  # noqa: PT017 - either way is right
        else:
            assert [type(each) for each in found] == [type(each) for each in record] or isinstance(record, wire.Exit)

    leaf()


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', '{"a":NaN}', '{"a":1e999}', '{"a":"\\u0000"}', '{"a":' + "9" * 40 + "}", "[" * 99999]
)
def test_what_is_no_json_of_ours(text: str) -> None:
    with pytest.raises(errors.RecordError, match="/a/file"):
        trusted.json_of("/a/file", text.encode())


def test_what_stands_in_the_place_of_a_file(tmp_path: pathlib.Path) -> None:
    for name, make in (
        ("pipe", os.mkfifo),
        ("directory", os.mkdir),
        ("link", lambda path: os.symlink("/dev/zero", path)),
        ("dangling", lambda path: os.symlink("/nonexistent", path)),
    ):
        make(tmp_path / name)
        with pytest.raises(errors.RecordError, match=name):
            trusted.content(str(tmp_path / name))
    (tmp_path / "open").write_text("{}")
    (tmp_path / "open").chmod(0o666)
    with pytest.raises(errors.RecordError, match="others may write"):
        trusted.content(str(tmp_path / "open"))
    (tmp_path / "open").chmod(0o600)
    with pytest.raises(errors.RecordError, match="longer"):
        trusted.content(str(tmp_path / "open"), 1)
    with pytest.raises(FileNotFoundError):
        trusted.content(str(tmp_path / "nothing"))
    os.mkfifo(tmp_path / "r.json.tmp")
    with pytest.raises(OSError):
        store.replace(str(tmp_path / "r.json"), b"{}")


def container(directory: pathlib.Path) -> None:
    (directory / "layers/0/upper").mkdir(parents=True)
    (directory / "run").mkdir()
    store.write(str(directory / "record.json"), RECORDS["container"])
    store.write(str(directory / "run.json"), RECORDS["run"])
    (directory / "run/exit.json").write_bytes(frames.encode(EXIT))


RUNNING = container_records.Running(wire.Process(UID, "r1", IDENTITY, 1.5), OTHER)


def test_what_is_on_disk_of_a_container_must_fit_together(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / UID
    container(directory)
    found = container_records.read(str(directory), UID, None)
    assert found
    assert (found.run, found.exit) == (RECORDS["run"], EXIT)
    assert container_records.read(str(directory), UID, RUNNING)
    another = container_records.Running(RUNNING.process._replace(run="r2"), OTHER)
    elsewhere = container_records.Running(RUNNING.process, UID)
    for running in (another, elsewhere):
        with pytest.raises(errors.RecordError, match=r"run\.json"):
            container_records.read(str(directory), UID, running)
    (directory / "run.json").write_bytes(b"")
    with pytest.raises(errors.RecordError, match=r"run\.json"):
        container_records.read(str(directory), UID, RUNNING)
    (directory / "record.json").unlink()
    with pytest.raises(errors.RecordError, match=r"record\.json"):
        container_records.read(str(directory), UID, None)


def test_what_was_never_made_is_told_from_what_lost_its_record(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / UID
    (directory / "layers/0/upper").mkdir(parents=True)
    (directory / "record.json").write_bytes(b"")
    (directory / "record.json.tmp").write_bytes(b"{half")
    assert container_records.read(str(directory), UID, None) is None
    (directory / "layers/0/upper/work").write_bytes(b"")
    with pytest.raises(errors.RecordError, match=r"record\.json"):
        container_records.read(str(directory), UID, None)
