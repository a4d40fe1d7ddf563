"""Our own compose files, and a form of everything that can be written in one, mean to corral what they mean to docker compose."""

import concurrent.futures
import os
import pathlib

import pytest

from specs.files import surroundings
from tests.conformance import comparing, differences, forms, oracle

TOP = pathlib.Path(__file__).parents[2]
OURS = sorted(
    path
    for folder in ("examples", "tests")
    for name in surroundings.FILE_NAMES
    for path in (TOP / folder).rglob(name)
    if not {".cache", ".venv"} & set(path.parts)
)


def compare(cases: list[comparing.Case]) -> list[str]:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda case: oracle.ask(case.folder, case.files), cases)
        found = [
            each for case, theirs in zip(cases, answers, strict=True) for each in comparing.deviations(case, theirs)
        ]
    return [str(deviation) for deviation in found if differences.covering(deviation) is None]


@pytest.mark.timeout(300)  # the first time it is fetched: 21 MB
def test_the_oracle_is_there() -> None:
    assert oracle.program().stat().st_size > 10_000_000


@pytest.mark.timeout(120)
def test_every_file_of_ours(tmp_path: pathlib.Path) -> None:
    assert OURS
    assert compare([comparing.Case(str(path.relative_to(TOP)), path.parent, (path.name,)) for path in OURS]) == []


@pytest.mark.timeout(240)
def test_every_form(tmp_path: pathlib.Path) -> None:
    assert compare([*forms.cases(tmp_path)]) == []


def test_a_difference_is_seen(tmp_path: pathlib.Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, ports: ['80']}}")
    case = comparing.Case("one", tmp_path)
    assert compare([case]) == []
    other = oracle.ask(tmp_path, ()).model
    assert other
    other["services"]["a"]["ports"][0]["target"] = 81
    [deviation] = comparing.deviations(case, oracle.Answer(other))
    assert (deviation.path, deviation.ours, deviation.theirs) == ("services.a.ports[0].target", "80", "81")
    [verdict] = comparing.deviations(case, oracle.Answer(None, "no"))
    assert (verdict.path, verdict.ours, verdict.theirs, verdict.said) == ("", "accepted", "refused", "no")


def test_every_difference_is_in_the_documentation() -> None:
    page = (TOP / "docs" / "compose.md").read_text()
    for difference in differences.DIFFERENCES:
        assert f"| {difference.name} | {difference.reason} |" in page
