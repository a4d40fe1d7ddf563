"""Which of the kernel's files gets a limit of block devices, and what is written there."""

import pathlib

import pytest

from engine.cgroups import block
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import BlockIo

V1 = ("blkio.bfq.weight", "blkio.weight")
V2 = ("io.bfq.weight", "io.weight")


def host(folder: pathlib.Path, *files: str) -> str:
    for name in files:
        (folder / name).write_text("before")
    return str(folder)


@pytest.mark.parametrize(
    ("lines_of", "files", "taker", "text"),
    [
        (block.on_v1, V1, "blkio.bfq.weight", "300"),
        (block.on_v1, V1[1:], "blkio.weight", "300"),
        (block.on_v2, V2, "io.bfq.weight", "default 300"),
        (block.on_v2, V2[1:], "io.weight", "default 2930"),  # 1 + (300 - 10) * 9999 / 990
    ],
)
def test_a_weight_is_written_to_the_first_file_that_is_there(
    tmp_path: pathlib.Path, lines_of: object, files: tuple[str, ...], taker: str, text: str
) -> None:
    directory = host(tmp_path, *files)
    block.put(directory, lines_of(BlockIo(300)))  # type: ignore[operator]
    assert {name: (tmp_path / name).read_text() for name in files} == {**dict.fromkeys(files, "before"), taker: text}


@pytest.mark.parametrize(("weight", "text"), [(10, "default 1"), (100, "default 910"), (1000, "default 10000")])
def test_the_whole_range_of_weights_is_the_whole_range_of_the_other_scale(
    tmp_path: pathlib.Path, weight: int, text: str
) -> None:
    block.put(host(tmp_path, "io.weight"), block.on_v2(BlockIo(weight)))
    assert (tmp_path / "io.weight").read_text() == text


def test_a_kernel_without_weights_is_named(tmp_path: pathlib.Path) -> None:
    for lines in (block.on_v1(BlockIo(300)), block.on_v2(BlockIo(300))):
        with pytest.raises(TerminalEngineError, match="this kernel has no"):
            block.put(str(tmp_path), lines)


def test_without_a_weight_it_is_that_of_a_new_cgroup(tmp_path: pathlib.Path) -> None:
    block.unweigh(host(tmp_path, *V1, *V2))
    assert [(tmp_path / name).read_text() for name in (*V1, *V2)] == ["100", "500", "default 100", "default 100"]


def test_processes_are_brought_in_until_nobody_is_outside(tmp_path: pathlib.Path) -> None:
    """The kernel adds to the file what is written; here it has what was written last."""
    (tmp_path / "cgroup.procs").write_text("")
    asked: list[frozenset[int]] = []

    def pids() -> frozenset[int]:
        asked.append(frozenset({8} if asked else {7}))  # 7 has forked 8, and ended
        return asked[-1]

    block.move(pids, str(tmp_path))
    assert (tmp_path / "cgroup.procs").read_text() == "8"
    with pytest.raises(EngineError, match="there are always more of them"):
        block.move(lambda: frozenset({1, 2}), str(tmp_path))
