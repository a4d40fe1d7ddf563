"""Limits that a command says beside the file: how they are wanted, kept, shown and taken back."""

import pytest
from fake_lab import TWO, Lab, eventually
from test_readings import uid_of

from engine.types.infos import ContainerInfo
from engine.types.parts import BlockIo, Limits, Restart
from reconciler.overlay import Overlay
from reconciler.resource import Verb

MIB = 1 << 20


def limits(lab: Lab, name: str) -> Limits:
    return container(lab, name).config.limits


def container(lab: Lab, name: str) -> ContainerInfo:
    info = lab.engine.infos[uid_of(lab, name)]
    assert isinstance(info, ContainerInfo)
    return info


def test_update_changes_what_runs_and_nothing_else(lab: Lab) -> None:
    lab.write(TWO + "    cpu_quota: 20000\n    mem_limit: 64m\n")
    lab.corral("up", "-d")
    lab.engine.done.clear()
    lab.corral("update", "--cpus", "1.5", "-m", "128m", "--memory-swap", "-1", "--pids-limit", "50", "db")
    assert lab.engine.done == [("container:db", Verb.UPDATE)]
    found = limits(lab, "demo-db-1")
    assert (found.cpus, found.cpu_quota_us) == (1.5, None), "the one takes back the other"
    assert (found.memory_bytes, found.memswap_bytes, found.pids) == (128 * MIB, -1, 50)
    assert limits(lab, "demo-web-1") == Limits()
    lab.corral("update", "-m", "0", "--memory-swap", "0", "--cpu-quota", "30000", "--restart", "always", "db")
    found = limits(lab, "demo-db-1")
    assert (found.memory_bytes, found.cpus, found.cpu_quota_us, found.pids) == (None, None, 30000, 50)
    assert container(lab, "demo-db-1").config.restart.name is Restart.ALWAYS


def test_a_blkio_weight_counts_beside_what_else_the_file_limits(lab: Lab) -> None:
    rates = (("/dev/sda", 7),)
    lab.write(TWO + "    blkio_config: {weight: 20, device_read_bps: [{path: /dev/sda, rate: 7}]}\n")
    lab.corral("up", "-d")
    lab.engine.done.clear()
    for said, weight in (("300", 300), ("0", None), ("30", 30)):
        lab.corral("update", "--blkio-weight", said, "db", "web")
        assert container(lab, "demo-db-1").config.block_io == BlockIo(weight, read_bps=rates)
        assert container(lab, "demo-web-1").config.block_io == BlockIo(weight)
    plan = lab.corral("plan", code=2)[0]
    assert "blkio_config.weight 30 -> 20, live (set by corral update)" in plan
    assert "blkio_config.weight 30 -> none, live (set by corral update)" in plan
    lab.corral("up", "-d")
    assert container(lab, "demo-db-1").config.block_io == BlockIo(20, read_bps=rates)
    assert container(lab, "demo-web-1").config.block_io == BlockIo()
    assert {verb for _, verb in lab.engine.done} == {Verb.UPDATE}


def test_plan_names_the_command_and_up_of_the_service_takes_it_back(lab: Lab) -> None:
    lab.write(TWO + "    mem_limit: 64m\n")
    lab.corral("up", "-d")
    lab.corral("update", "--memory", "128m", "--cpus", "1", "db", "web")
    lab.corral("pause", "web")
    plan = lab.corral("plan", code=2)[0]
    assert "mem_limit 128m -> 64m, live (set by corral update)" in plan
    assert "cpus 1.0 -> none, live (set by corral update)" in plan
    assert "paused true -> false, live (set by corral pause)" in plan
    lab.corral("up", "-d", "db")
    assert limits(lab, "demo-db-1").memory_bytes == 64 * MIB
    assert limits(lab, "demo-web-1").cpus == 1.0
    assert "container:db " not in lab.corral("plan", code=2)[0]
    lab.corral("up", "-d")
    assert limits(lab, "demo-web-1") == Limits()
    assert lab.engine.done.count(("container:web", Verb.START)) == 1


def test_it_outlives_the_daemon_and_counts_for_new_containers(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("update", "--memory", "128m", "db")
    lab.kill()
    lab.start()
    eventually(lambda: limits(lab, "demo-db-1").memory_bytes == 128 * MIB)
    lab.corral("stop")
    lab.corral("update", "--cpus", "2", "db")
    assert limits(lab, "demo-db-1") == Limits(memory_bytes=128 * MIB, cpus=2.0), "also one that is stopped"
    lab.corral("down")
    lab.corral("up", "-d")
    assert limits(lab, "demo-db-1") == Limits()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("update", "db"), "corral update: what is to change?"),
        (("update", "--memory", "1g", "nosuch"), "no such service: nosuch"),
        (("update", "--memory", "128m", "--memory-swap", "64m", "db"), "services.db.memswap_limit: 67108864 is less"),
        (("update", "--memory", "much", "db"), "-m/--memory"),
        (("update", "--restart", "sometimes", "db"), "services.db.restart: 'sometimes' is not a policy"),
        (("update", "--cpuset-cpus", "all", "db"), "services.db.cpuset: 'all' is not a list of CPUs"),
        (("update", "--blkio-weight", "5", "db"), "services.db.blkio_config.weight: 5 is not between 10 and 1000"),
        (("update", "--kernel-memory", "1g", "db"), "--kernel-memory is not supported yet"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(lab: Lab, words: tuple[str, ...], said: str) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.engine.done.clear()
    assert said in lab.corral(*words, code=1)[1]
    assert lab.engine.done == []
    assert "resources are as declared" in lab.corral("plan")[0]


def test_a_record_of_before_has_no_updates() -> None:
    assert Overlay.from_json({"scale": {}, "stopped": [], "nonce": {}}) == Overlay()
    found = Overlay().with_updates(["a"], {"cpus": 1.0}).with_updates(["a"], {"cpu_quota": 5})
    assert Overlay.from_json(found.to_json()) == found
    assert found.updates == {"a": {"cpus": None, "cpu_period": None, "cpu_quota": 5}}
