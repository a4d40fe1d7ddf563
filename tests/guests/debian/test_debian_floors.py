"""A selection of the floors that need root, inside the guest: what the kernel's age, v2 alone and iptables on nf_tables touch.

Each part is a run of pytest there; what it wrote is in the transcript."""

import pytest

from tests.guests.debian.guest import Guest

PYTEST = "python3 -m pytest -q -p no:cacheprovider --no-header --maxfail=4"
SLOWNESS = "8"
PARTS = {
    "older kernels": "tests/engine/test_older_kernels.py -k 'starts_runs and (all or kill)'",
    "mounts": "tests/engine/test_process_mounts.py -k 'mask or read_only or tmpfs or overlay'",
}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_floors_that_need_root(guest: Guest, part: str) -> None:
    environment = {"CORRAL_SLOWNESS": SLOWNESS, "TMPDIR": "/var/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    said = guest.sh(
        f"{PYTEST} {PARTS[part]}", directory="/opt/corral", timeout_s=1100, environment=environment, code=None
    )
    assert " passed" in said
    assert " failed" not in said, said[-4000:]
    assert " error" not in said, said[-4000:]
