"""The keys of a compose file, the attacks and the ends of processes on Debian 12: the tests of `floors` inside the guest.

Two runs of pytest share them, one for each CPU; what they wrote is in the transcript, after `1` or `2`.
"""

import re

import pytest

from tests.guests.debian import floors
from tests.guests.debian.guest import Guest

PYTEST = (  # what a shell starts beside itself would otherwise ignore Ctrl-C, and so would all that the tests start
    "env --default-signal=INT,QUIT python3 -m pytest -v -p no:cacheprovider -p tests.guests.debian.telling --no-header --no-summary --durations=15"
)
STUCK = "-o faulthandler_timeout=240"
LANES = 2
SLOWNESS = "5"
LIMIT_S = 1300.0
RESULT = re.compile(r"^\d (?P<test>tests/\S+?::\w+)(?P<case>\[.*\])? (?P<outcome>PASSED|SKIPPED|FAILED|ERROR)\b", re.M)

Outcomes = dict[str, set[str]]
"""Mapping from a test, as `tests/e2e/test_keys.py::test_shm_size`, to what became of its cases."""


@pytest.fixture(scope="module")
def ran(guest: Guest) -> Outcomes:
    """Everything that is chosen, run in the guest."""
    lanes = []
    for number, lane in enumerate(shared_out(), 1):
        guest.sh(f"cat >/var/tmp/lane{number}", stdin="\n".join(lane))
        lanes.append(f"{{ {PYTEST} {STUCK} @/var/tmp/lane{number} 2>&1 | sed -u 's/^/{number} /'; }} & ")
    environment = {"CORRAL_SLOWNESS": SLOWNESS, "TMPDIR": "/var/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    said = guest.sh(f"{''.join(lanes)}wait", directory="/opt/corral", timeout_s=LIMIT_S, environment=environment)
    found: Outcomes = {}
    for match in RESULT.finditer(said):
        found.setdefault(match["test"], set()).add(match["outcome"])
    return found


def shared_out() -> list[list[str]]:
    """The tests of each lane, as pytest takes them; a file stays whole."""
    lanes: list[list[str]] = [[] for _ in range(LANES)]
    for file in sorted(floors.chosen(), key=lambda file: -len(floors.tests_of(file))):
        min(lanes, key=slow_ones).extend(floors.tests_of(file))
    return [lane for lane in lanes if lane]


def slow_ones(tests: list[str]) -> int:
    return sum(test.startswith(("tests/e2e/", "tests/engine/")) for test in tests)


@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize("file", floors.chosen())
def test_what_a_file_tests_is_so_on_debian(ran: Outcomes, file: str) -> None:
    found = {test: ran.get(test, {"did not run"}) for test in floors.tests_of(file)}
    assert {test for test, outcomes in found.items() if outcomes == {"SKIPPED"}} == floors.SKIPPED & found.keys()
    assert not {test: outcomes for test, outcomes in found.items() if not outcomes <= {"PASSED", "SKIPPED"}}
