"""Labs: what `corral init` lists, refuses and writes."""

import io
import json
import os
import pathlib
import re
import subprocess

import pytest

from orchestrator.command_line import cli, labs
from specs import units

HADOOP = labs.HOME / "hadoop"
EVERY_LAB = pytest.mark.parametrize("name", sorted(labs.all_of_them()))


def corral(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return cli.run(words, out, err), out.getvalue(), err.getvalue()


def test_labs_are_listed_with_what_they_are() -> None:
    code, out, _ = corral("init")
    assert code == 0
    assert "hadoop     Hadoop 3.4: HDFS" in out
    assert [line.split()[0] for line in out.splitlines()] == ["hadoop", "hadoop-ha", "hbase", "hive", "kafka", "spark"]


def test_a_lab_is_a_copy_of_its_folder_with_numbers_of_its_own(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "lab"
    code, out, err = corral("init", "hadoop", str(target), "--workers", "5", "--memory", "6000m", "--no-fetch")
    assert (code, err) == (0, f"corral: {target} is a hadoop lab: 5 workers, 6000m of memory\n")
    assert out == f"cd {target} && corral up -d --wait\n"
    copied = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    kept = {str(path.relative_to(HADOOP)) for path in HADOOP.rglob("*") if path.is_file()} - {"lab.toml"}
    assert copied == kept | {".env"}
    assert not any(path.is_symlink() for path in target.rglob("*"))
    numbers = dict(re.findall(r"^(\w+)=(\d+)", (target / ".env").read_text(), re.MULTILINE))
    assert numbers.pop("WORKERS") == "5"
    workers = 5 * int(numbers.pop("WORKER_MEMORY"))
    assert 5990 <= workers + sum(map(int, numbers.values())) <= 6000


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    """With what links lead to."""
    found = {}
    for top, _, names in os.walk(folder, followlinks=True):
        for path in (pathlib.Path(top, name) for name in names):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@EVERY_LAB
def test_a_copied_lab_stands_on_its_own(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What labs share is one file in the repository, and a file of each copy's own."""
    target = tmp_path / "lab"
    assert corral("init", name, str(target), "--no-fetch")[0] == 0
    assert not any(path.is_symlink() for path in target.rglob("*"))
    expected, copied = files_of(labs.HOME / name), files_of(target)
    assert copied.keys() - {".env"} == expected.keys() - {"lab.toml"}
    assert all(copied[path] == expected[path] for path in copied.keys() - {".env"})
    for path in ("README.md", "compose.yaml", "prepare"):
        assert path in copied
    for path in [*target.glob("bin/*[!.][!s][!h]"), *target.glob("parts/*/classes"), target / "prepare"]:
        assert os.access(path, os.X_OK), path
    monkeypatch.chdir(target)
    assert corral("config", "-q") == (0, "", "")


@EVERY_LAB
def test_whoever_starts_java_asks_whether_the_archive_of_classes_is_whole(name: str) -> None:
    """Java dies of one that was cut off."""
    paths = [labs.HOME / name / "compose.yaml", *(labs.HOME / name).glob("bin/*")]
    lines = [line for path in paths for line in path.read_text().splitlines() if "java @" in line]
    assert [line for line in lines if "class-archive" not in line] == []


@EVERY_LAB
def test_links_of_labs_lead_to_other_labs(name: str) -> None:
    for path in (labs.HOME / name).rglob("*"):
        assert path.exists(), path
        assert path.resolve().is_relative_to(labs.HOME), path


@pytest.mark.parametrize("name", ["hadoop", "hadoop-ha", "hbase", "hive"])
def test_the_client_works_in_a_folder_of_the_users_with_a_book(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert corral("init", name, ".", "--no-fetch")[0] == 0
    client = json.loads(corral("config", "--format", "json")[1])["services"]["client"]
    source = {mount["target"]: mount for mount in client["volumes"]}[client["working_dir"]]
    assert source["source"] == str(tmp_path / "files")
    assert not source.get("read_only")
    assert "Jane Austen" in (tmp_path / "files/book.txt").read_text()


@EVERY_LAB
def test_what_a_lab_runs_on_is_pinned(name: str) -> None:
    parts = [path for path in (labs.HOME / name / "parts").iterdir() if path.is_dir()]
    assert parts
    for part in parts:
        if (part / "pom.xml").exists():
            version = re.search(f"<{part.name}>(.+?)<", (part / "pom.xml").read_text())
            assert all(
                re.fullmatch(r"[0-9a-f]{64}  \S+\.jar", line)
                for line in (part / "jars.sha256").read_text().splitlines()
            )
        else:
            version = re.search(r"(?m)^\w+==(\S+) --hash=sha256:[0-9a-f]{64}$", (part / "requirements.txt").read_text())
        assert version
        assert f"/{part.name}-{version[1]}" in (labs.HOME / name / "compose.yaml").read_text()


@EVERY_LAB
def test_what_compose_yaml_says_by_itself_is_what_init_writes_by_itself(name: str) -> None:
    lab = labs.all_of_them()[name]
    text = (lab.folder / "compose.yaml").read_text()
    written = {variable: int(mib) for variable, mib in re.findall(r"\$\{(\w+_MEMORY):-(\d+)m\}", text)}
    assert written == labs.memory_of_nodes(lab, lab.workers, units.parse_bytes(lab.memory) >> 20)


@EVERY_LAB
def test_the_limits_of_all_nodes_together_are_what_was_given(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert corral("init", name, ".", "--workers", "4", "--memory", "8g", "--no-fetch")[0] == 0
    code, out, _ = corral("config", "--format", "json")
    assert code == 0
    project = json.loads(out)
    assert project["x-corral"] == {"memory": "guaranteed"}
    services = project["services"].values()
    total = sum(int(service["mem_limit"]) * int(service.get("scale", 1)) for service in services)
    assert 8160 << 20 <= total <= 8192 << 20


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("pig",), "corral has no lab 'pig'"),
        (
            ("hadoop", "x", "--workers", "3", "--memory", "3g"),
            "hadoop with 3 workers takes 3424 MiB at least, and is given 3072",
        ),
        (("hadoop", "x", "--workers", "0", "--memory", "3g"), "--workers 0: 1 to 100"),
        (("hadoop", "x", "--memory", "3 apples"), "--memory 3 apples: "),
        (("hadoop", "x", "--memory", "900000g"), "--memory 900000g: this machine has "),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_made(
    words: tuple[str, ...], complaint: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = corral("init", *words, "--no-fetch")
    assert (code, out) == (1, "")
    assert complaint in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis").write_text("precious")
    code, _, err = corral("init", "hadoop", str(tmp_path), "--no-fetch")
    assert code == 1
    assert "it is not empty" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


@pytest.mark.parametrize(
    ("files", "is_there"),
    [
        ({}, False),
        ({"current/VERSION": ""}, False),
        ({"current/VERSION": "layoutVersion=-57\n", "current/BP-1/current/VERSION": ""}, False),
        ({"current/VERSION": "layoutVersion=-57\n", "current/BP-1/current/VERSION": "layoutVersion=-57\n"}, True),
        ({"current/VERSION": "", "current/BP-1/current/finalized/subdir0/blk_107": "data"}, True),
    ],
)
def test_a_datanode_begins_anew_where_it_was_cut_off_and_has_no_blocks(
    files: dict[str, str], is_there: bool, tmp_path: pathlib.Path
) -> None:
    blocks = tmp_path / "blocks"
    for name, text in files.items():
        (blocks / name).parent.mkdir(parents=True, exist_ok=True)
        (blocks / name).write_text(text)
    text = (HADOOP / "bin" / "hdfs").read_text()
    function = text[text.index("forget_half_made() {") :].partition("\n}\n")[0] + "\n}\n"
    subprocess.run(["bash", "-euc", f"{function}forget_half_made {blocks}"], check=True)
    assert blocks.exists() == is_there
