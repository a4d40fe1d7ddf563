"""The log: what is written can be read again, from any place, whatever was cut off where."""

import json
import os
import pathlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.logs import reading
from engine.process import logs


def records(path: pathlib.Path, **where: float) -> list[reading.Record]:
    reader = reading.Reader(str(path), **where)  # type: ignore[arg-type]
    try:
        return [record for block in iter(reader.read, []) for record in block]
    finally:
        reader.close()


def text(found: list[reading.Record], stream: str = "stdout") -> bytes:
    return b"".join(record.text + b"\n" * record.is_end for record in found if record.stream == stream)


@given(st.lists(st.tuples(st.sampled_from(logs.STREAMS), st.binary(max_size=60)), max_size=20))
def test_each_stream_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    writer = logs.Writer(str(path))
    for stream, data in pieces:
        writer.write(stream, data)
    writer.close()
    for stream in logs.STREAMS:
        assert text(records(path), stream) == b"".join(data for of, data in pieces if of == stream)


@given(st.integers(0, 5 * logs.LINE_BYTES), st.booleans())
def test_long_lines_are_cut_and_joined_again(tmp_path_factory: pytest.TempPathFactory, size: int, ends: bool) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    writer = logs.Writer(str(path))
    data = bytes(65 + number % 26 for number in range(size)) + b"\n" * ends
    for start in range(0, len(data), 7000):
        writer.write("stdout", data[start : start + 7000])
    writer.close()
    found = records(path)
    assert text(found) == data
    assert all(len(record.text) <= logs.LINE_BYTES for record in found)
    assert sum(record.is_end for record in found) == ends


@given(st.lists(st.tuples(st.sampled_from(logs.STREAMS), st.text(max_size=60)), max_size=20), st.booleans())
def test_as_json_each_stream_comes_back_and_every_line_is_dockers(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, str]], has_attributes: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    attributes = {"tag": 'a"b', "é": "\n"} if has_attributes else {}
    writer = logs.Writer(str(path), attributes=json.dumps(attributes).encode())
    for stream, data in pieces:
        for number in range(0, len(data.encode()), 7):  # characters come in pieces
            writer.write(stream, data.encode()[number : number + 7])
    writer.close()
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for stream in logs.STREAMS:
        written = "".join(data for of, data in pieces if of == stream)
        assert text(records(path), stream).decode() == written
        assert "".join(line["log"] for line in lines if line["stream"] == stream) == written
    assert all(line.get("attrs", {}) == attributes for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", line["time"]) for line in lines)


def test_as_json_long_lines_are_cut_between_characters_and_what_is_no_text_is_marked(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    writer = logs.Writer(str(path), attributes=b"{}")
    long = "x" + "€" * logs.LINE_BYTES
    writer.write("stdout", f"{long}\n".encode() + b"\xff\0\n")
    writer.write("stdout", long.encode())
    writer.close()
    found = records(path)
    assert text(found).decode() == f"{long}\n\ufffd\0\n{long}"
    assert all(len(record.text) <= logs.LINE_BYTES for record in found)
    assert sum(record.is_end for record in found) == 2


@pytest.mark.parametrize(
    "line",
    [
        b'{"time":"2025-03-01T12:00:00.123456789Z","stream":"stdout","log":"cut',
        b'{"time":"yesterday","stream":"stdout","log":"a"}',
        b'{"time":"2025-03-01T12:00:00.123456789Z","stream":1,"log":"a"}',
        b'{"time":"2025-03-01T12:00:00.123456789Z","stream":"stdout","log":[]}',
        b'{"time":' + b"[" * 100_000,
        b'{"time":"2025-03-01T12:00:00.123456789Z"}',
    ],
)
def test_json_that_is_no_record_is_passed_over(line: bytes) -> None:
    assert reading.parse(line) is None


def test_a_line_of_the_file_is_for_grep_and_sorts_by_time(tmp_path: pathlib.Path) -> None:
    writer = logs.Writer(str(tmp_path / "log"))
    writer.write("stderr", b"hello w\xff\n")
    writer.close()
    line = (tmp_path / "log").read_bytes()
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stderr F hello w\xff\n", line)
    assert reading.time_text(time.time() - 60) < line[:30].decode() < reading.time_text(time.time() + 60)


@given(st.data())
def test_whatever_a_crash_cuts_off_the_rest_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    attributes = data.draw(st.sampled_from((b"", b"{}")))
    writer = logs.Writer(str(path), attributes=attributes)
    for number in range(10):
        writer.write("stdout", b"before %d\n" % number)
    writer.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    again = logs.Writer(str(path), attributes=attributes)
    again.write("stdout", b"after\n")
    again.close()
    found = records(path)
    assert found[-1].text == b"after"
    complete = whole[:cut].count(b"\n")
    assert [record.text for record in found[:complete]] == [b"before %d" % number for number in range(complete)]
    assert len(found) <= complete + 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300)), max_size=80), st.integers(0, 90))
def test_the_last_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[bool, int]], tail: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    content = [
        b"2025-01-01T00:00:00.%09dZ stdout %b %b\n" % (n, b"F" if end else b"P", b"x" * size)
        for n, (end, size) in enumerate(lines)
    ]
    path.write_bytes(b"".join(content))
    ends = [number for number, (end, _) in enumerate(lines) if end]
    first = 0 if len(ends) <= tail else ends[-tail - 1] + 1
    if tail == 0:
        first = len(lines)
    assert [record.time for record in records(path, tail=tail)] == [line[:30].decode() for line in content[first:]]


def test_since_finds_its_place_in_a_large_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        for number in range(20_000):
            stamp = reading.time_text(1_700_000_000 + number)
            file.write(b"%b stdout F line %d %b\n" % (stamp.encode(), number, b"x" * (number % 50)))
    for since in (0, 1_700_000_000, 1_700_000_777, 1_700_012_345, 1_700_019_999):
        expected = max(0, since - 1_700_000_000)
        found = records(path, since=since)
        assert found[0].text.split()[1] == b"%d" % expected
        assert len(found) == 20_000 - expected
    assert records(path, since=1_700_020_000) == []


@pytest.mark.parametrize("attributes", [b"", b"{}", b'{"a":"b"}'])
def test_tail_and_since_reach_into_the_file_before(tmp_path: pathlib.Path, attributes: bytes) -> None:
    path = tmp_path / "log"
    writer = logs.Writer(str(path), limit_bytes=1000, attributes=attributes)
    for number in range(30):
        writer.write("stdout", b"line %d\n" % number)
    writer.close()
    both = (tmp_path / "log.1").read_bytes() + path.read_bytes()
    kept = both.count(b"\n")
    assert path.stat().st_size <= 1000
    assert [record.text for record in records(path)] == [b"line %d" % number for number in range(30 - kept, 30)]
    current = path.read_bytes().count(b"\n")
    assert [record.text for record in records(path, tail=current + 2)] == [
        b"line %d" % n for n in range(28 - current, 30)
    ]
    assert len(records(path, since=1)) == kept


def test_a_reader_follows_over_rotations_and_misses_nothing(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    reader = reading.Reader(str(path))
    assert reader.read() == []  # there is no file yet
    writer = logs.Writer(str(path), limit_bytes=2000)
    found = []
    for number in range(300):
        writer.write("stdout", b"line %d\n" % number)
        if number % 20 == 0:
            found += [record for block in iter(reader.read, []) for record in block]
    writer.close()
    found += [record for block in iter(reader.read, []) for record in block]
    reader.close()
    assert [record.text for record in found] == [b"line %d" % number for number in range(300)]


@pytest.mark.parametrize("files", [1, 2, 3, 5])
def test_so_many_files_are_kept_and_all_are_read(tmp_path: pathlib.Path, files: int) -> None:
    path = tmp_path / "log"
    writer = logs.Writer(str(path), limit_bytes=1000, files=files)
    for number in range(300):
        writer.write("stdout", b"line %d\n" % number)
    writer.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", *(f"log.{number}" for number in range(1, files))]
    assert all(each.stat().st_size <= 1000 for each in tmp_path.iterdir())
    kept = sum(each.read_bytes().count(b"\n") for each in tmp_path.iterdir())
    assert [record.text for record in records(path)] == [b"line %d" % number for number in range(300 - kept, 300)]
    for tail in (0, 1, kept - 1, kept):
        assert [record.text for record in records(path, tail=tail)] == [
            b"line %d" % number for number in range(300 - tail, 300)
        ]


def test_a_reader_that_is_some_files_behind_misses_none_of_them(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    writer = logs.Writer(str(path), limit_bytes=1000, files=6)
    writer.write("stdout", b"line 0\n")
    reader = reading.Reader(str(path))
    for number in range(1, 90):
        writer.write("stdout", b"line %d\n" % number)
    assert (tmp_path / "log.3").exists()
    found = [record for block in iter(reader.read, []) for record in block]
    for number in range(90, 120):
        writer.write("stdout", b"line %d\n" % number)
    found += [record for block in iter(reader.read, []) for record in block]
    reader.close()
    writer.close()
    assert [record.text for record in found] == [b"line %d" % number for number in range(120)]


def test_a_reader_waits_for_the_rest_of_a_record(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"2025-01-01T00:00:00.000000000Z stdout F one\n2025-01-01T00:00:00.00000")
    reader = reading.Reader(str(path))
    assert [record.text for record in reader.read()] == [b"one"]
    assert reader.read() == []
    with path.open("ab") as file:
        file.write(b"0001Z stdout F two\n")
    assert [record.text for record in reader.read()] == [b"two"]
    reader.close()


@pytest.mark.parametrize("attributes", [b"", b"{}"])
def test_a_full_disk_stops_nobody_and_is_told_afterwards(tmp_path: pathlib.Path, attributes: bytes) -> None:
    writer = logs.Writer("/dev/full", attributes=attributes)
    writer.write("stdout", b"lost\n")
    writer.write("stdout", b"lost too\n")
    writer._file, full = os.open(tmp_path / "log", 0o1101, 0o600), writer._file
    writer.write("stdout", b"kept\n")
    writer.close()
    os.close(full)
    assert text(records(tmp_path / "log")) == b"kept\n"
    assert text(records(tmp_path / "log"), "stderr") == b"corral: 2 lines are lost: no space\n"


@pytest.mark.parametrize("attributes", [b"", b"{}"])
def test_a_reader_goes_on_where_another_was_and_says_when_it_cannot(tmp_path: pathlib.Path, attributes: bytes) -> None:
    path = str(tmp_path / "log")
    writer = logs.Writer(path, 300 if attributes else 200, 2, attributes)
    writer.write("stdout", b"one\ntwo\n")
    first = reading.Reader(path)
    assert [record.text for record in first.read()] == [b"one", b"two"]
    place = first.position
    first.close()
    writer.write("stdout", b"three\n" + b"x" * 150 + b"\n")
    second = reading.Reader(path, after=place)
    assert [record.text[:5] for record in [*second.read(), *second.read()]] == [b"three", b"xxxxx"]
    assert not second.has_lost
    second.close()
    for number in range(9):
        writer.write("stdout", b"%d" % number * 120 + b"\n")
    third = reading.Reader(path, after=place)
    assert third.has_lost
    assert third.read()[0].text[:1] == b"7"
    third.close()
    writer.close()
