"""Labs: what `corral init` lists, refuses and writes."""

import io
import pathlib
import re

import pytest

from orchestrator import cli, labs

HADOOP = labs.HOME / "hadoop"


def corral(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return cli.run(words, out, err), out.getvalue(), err.getvalue()


def test_labs_are_listed_with_what_they_are() -> None:
    code, out, _ = corral("init")
    assert code == 0
    assert "hadoop  Hadoop 3.4: HDFS" in out


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


def test_what_compose_yaml_says_by_itself_is_what_init_writes_by_itself() -> None:
    lab = labs.all_of_them()["hadoop"]
    text = (HADOOP / "compose.yaml").read_text()
    written = {name: int(mib) for name, mib in re.findall(r"\$\{(\w+_MEMORY):-(\d+)m\}", text)}
    assert written == labs.memory_of_nodes(lab, lab.workers, 6 << 10)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("pig",), "corral has no lab 'pig'"),
        (
            ("hadoop", "x", "--workers", "3", "--memory", "3g"),
            "hadoop with 3 workers takes 3200 MiB at least, and is given 3072",
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
