"""Projects that nobody wrote mean to corral what they mean to docker compose."""

import pathlib
import shutil
import tempfile

import pytest
from hypothesis import given

from tests import fuzzing
from tests.conformance import comparing, differences, made_up, oracle


@pytest.mark.timeout(1200 * fuzzing.TIMES)
@fuzzing.effort(60)
@given(files=made_up.projects())
def test_fuzz_projects_against_docker_compose(files: made_up.Files) -> None:
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        made_up.write(folder, files)
        found = comparing.deviations(comparing.Case("made up", folder), oracle.ask(folder, ()))
        assert [str(each) for each in found if differences.covering(each) is None] == []
    finally:
        shutil.rmtree(folder)
