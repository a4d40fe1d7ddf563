"""`x-corral.memory: guaranteed`: what does not fit into the machine is refused, before anything is made."""

import pytest
from fake_lab import Lab, rows

from reconciler import memory

MIB = 1 << 20
GUARANTEED = """x-corral: {memory: guaranteed}
services:
  worker: {image: "rootfs:/r", command: serve, scale: 3, mem_limit: 1522m}
  namenode: {image: "rootfs:/r", command: serve, mem_limit: 259m}
  client: {image: "rootfs:/r", command: serve, mem_limit: 800m}
"""
SUM = 3 * 1522 + 259 + 800


def holds(lab: Lab, mib: int) -> None:
    """Let the machine hold so much, beside its reserve."""
    lab.engine.machine_bytes = next(
        size for size in range(mib * MIB, 2 * (mib + 300) * MIB, MIB) if size - memory.reserve_bytes(size) >= mib * MIB
    )


def test_the_reserve_is_a_twentieth_and_256_mib_at_least() -> None:
    assert memory.reserve_bytes(2 << 30) == 256 * MIB
    assert memory.reserve_bytes(20 << 30) == 1 << 30


def test_what_fits_to_the_last_byte_goes_up_and_a_byte_less_does_not(lab: Lab) -> None:
    lab.write(GUARANTEED)
    holds(lab, SUM)
    while (less := lab.engine.machine_bytes - 1) - memory.reserve_bytes(less) >= SUM * MIB:
        lab.engine.machine_bytes = less
    fits, lab.engine.machine_bytes = lab.engine.machine_bytes, less
    for command in (("plan",), ("up", "-d"), ("up", "--wait")):
        _, err = lab.corral(*command, code=1)
        assert (
            "compose.yaml:1:12: x-corral.memory: the limits of what would run add up to 5625 MiB, and this machine can hold"
            in err
        )
        assert f"({less // MIB} MiB less {memory.mib(memory.reserve_bytes(less))} for itself)" in err
        assert "1 MiB too much: shrink worker (3 x 1522 MiB) or client (800 MiB) or namenode (259 MiB)" in err
        assert ", or --scale worker=2" in err
    assert rows(lab) == {}
    assert "no projects" in lab.corral("daemon", "status")[0], "nothing was kept"
    assert lab.engine.infos == {}
    lab.engine.machine_bytes = fits
    lab.corral("up", "-d")
    assert len(lab.corral("ps", "-q")[0].split()) == 5


def test_a_scale_that_is_asked_for_counts_and_what_was_stopped_does_not(lab: Lab) -> None:
    lab.write(GUARANTEED)
    holds(lab, SUM - 1522)
    lab.corral("up", "-d", code=1)
    lab.corral("up", "-d", "--scale", "worker=2")
    assert "5625 MiB" in lab.corral("up", "-d", "--scale", "worker=3", code=1)[1]
    assert "--scale worker=2" in lab.corral("plan", code=1)[1]
    lab.corral("stop", "client")
    assert "5625 MiB" in lab.corral("up", "-d", code=1)[1], "it would run again"
    lab.corral("up", "-d", "namenode")
    lab.corral("start", "client")


def test_more_by_update_and_by_start_is_refused_too(lab: Lab) -> None:
    lab.write(GUARANTEED)
    holds(lab, SUM)
    lab.corral("up", "-d")
    assert (
        "x-corral.memory: the limits of what would run add up to 6091 MiB"
        in (lab.corral("update", "--memory", "1266m", "client", code=1)[1])
    )
    lab.corral("stop", "client")
    lab.corral("update", "--memory", "600m", "namenode")
    for verb in ("start", "restart"):
        assert "add up to 5966 MiB" in lab.corral(verb, "client", code=1)[1]
    lab.corral("update", "--memory", "259m", "namenode")
    lab.corral("start", "client")


def test_other_projects_with_the_key_count_and_those_without_it_do_not(lab: Lab) -> None:
    holds(lab, 6000)
    lab.write(GUARANTEED)
    lab.corral("-p", "red", "up", "-d")
    _, err = lab.corral("-p", "blue", "up", "-d", code=1)
    assert "of which project red has 5625 MiB" in err
    assert "corral -p red down" in err
    assert "--scale" not in err, "fewer workers alone do not help"
    lab.write(GUARANTEED.partition("\n")[2])
    lab.corral("-p", "blue", "up", "-d")
    lab.corral("-p", "blue", "down")
    lab.corral("-p", "red", "down")
    lab.write(GUARANTEED)
    lab.corral("-p", "blue", "up", "-d")


def test_without_the_key_nobody_counts(lab: Lab) -> None:
    lab.engine.machine_bytes = MIB
    lab.write(GUARANTEED.partition("\n")[2])
    lab.corral("up", "-d")


def test_a_service_without_a_limit_is_refused_where_it_is(lab: Lab) -> None:
    lab.write(GUARANTEED.replace(", mem_limit: 259m", ""))
    assert (
        "compose.yaml:4:3: services.namenode: a mem_limit is missing, and x-corral.memory is guaranteed (say how much it may take)"
        in lab.corral("up", "-d", code=1)[1]
    )
    assert "services.namenode: a mem_limit is missing" in lab.corral("config", code=1)[1]


@pytest.mark.parametrize("said", ["yes", "guarantee", "''"])
def test_there_is_one_word(lab: Lab, said: str) -> None:
    lab.write(GUARANTEED.replace("guaranteed", said))
    assert "compose.yaml:1:12: x-corral.memory:" in lab.corral("config", code=1)[1]


def test_config_writes_it_and_reads_it_back(lab: Lab) -> None:
    lab.write(GUARANTEED)
    out, _ = lab.corral("config")
    assert "x-corral:\n  memory: guaranteed\n" in out
    lab.write(out)
    assert lab.corral("config")[0] == out
