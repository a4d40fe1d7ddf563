"""The Kafka lab is what the books say: brokers that agree on who leads, and lose no record that they said they have."""

import os
import pathlib
import re
import signal
import zipfile

import pytest

from tests.e2e.lab import eventually
from tests.e2e.labs.cluster import WHAT, Cluster

INIT = ("kafka", "--memory", "2g")
TEXT = (pathlib.Path("/usr/share/common-licenses") / "GPL-3").read_text()
LINES = [line for line in TEXT.splitlines() if line]
ASK = "--bootstrap-server kafka:9092"


def leader_of(cluster: Cluster, topic: str) -> str:
    """The broker that leads the topic's first partition."""
    found = re.search(r"Partition: 0\s+Leader: (\d)", cluster.run(f"kafka-topics.sh {ASK} --describe --topic {topic}"))
    assert found
    return f"kafka-{found[1]}"


def in_sync(cluster: Cluster, topic: str) -> set[str]:
    """The brokers that have all of the topic's first partition."""
    found = re.search(r"Partition: 0\s.*Isr: (\S+)", cluster.run(f"kafka-topics.sh {ASK} --describe --topic {topic}"))
    assert found
    return set(found[1].split(","))


def count(cluster: Cluster, topic: str) -> int:
    """Of the records that a consumer gets."""
    script = f"kafka-console-consumer.sh {ASK} --topic {topic} --from-beginning --timeout-ms 8000 2>/dev/null | wc -l"
    return int(cluster.run(script))


def test_up_returns_when_the_cluster_is_usable(cluster: Cluster) -> None:
    status = cluster.run(f"kafka-metadata-quorum.sh {ASK} describe --status")
    assert re.search(r"LeaderId:\s+[123]\n", status)
    assert status.count("kafka-") == 3
    cluster.run(f"kafka-topics.sh {ASK} --create --topic books --partitions 3")
    described = cluster.run(f"kafka-topics.sh {ASK} --describe --topic books")
    assert "ReplicationFactor: 3" in described
    assert "min.insync.replicas=2" in described


def test_what_was_written_is_read(cluster: Cluster) -> None:
    cluster.run(f"kafka-console-producer.sh {ASK} --topic books", stdin="\n".join(LINES) + "\n")
    script = f"kafka-console-consumer.sh {ASK} --topic books --group class --from-beginning --max-messages {len(LINES)}"
    assert sorted(cluster.run(script).splitlines()) == sorted(LINES)
    groups = cluster.run(f"kafka-consumer-groups.sh {ASK} --describe --group class").splitlines()
    lags = [line.split()[5] for line in groups if line.startswith("class ")]
    assert lags == ["0"] * 3


def test_every_tool_is_there(cluster: Cluster) -> None:
    """A class that is in no jar would be noticed by whoever calls it."""
    jars = pathlib.Path(cluster.lab.environment["CORRAL_LABS"], "kafka-4.1.1/lib").glob("*.jar")
    classes = {name for jar in jars for name in zipfile.ZipFile(jar).namelist()}
    tools = [path.read_text() for path in (cluster.lab.folder / "bin").glob("*.sh")]
    wanted = [found[1] for text in tools if (found := re.search(r"run-class.sh\" (\S+)", text))]
    assert len(wanted) > 25
    assert [name for name in wanted if f"{name.replace('.', '/')}.class" not in classes] == []


def test_commands_end_as_the_originals_do(cluster: Cluster) -> None:
    for script, code in {
        f"kafka-topics.sh {ASK} --list": 0,
        f"kafka-topics.sh {ASK} --describe --topic nothing": 1,
        f"kafka-topics.sh {ASK} --create --topic books": 1,
        "kafka-topics.sh": 1,
        "kafka-topics.sh --version": 0,
        "kafka-run-class.sh": 1,
    }.items():
        cluster.run(script, code=code)


def test_no_record_is_lost_when_a_broker_dies(cluster: Cluster) -> None:
    cluster.run(f"kafka-topics.sh {ASK} --create --topic killed --partitions 1")
    leader = leader_of(cluster, "killed")
    settings = "bootstrap.servers=kafka-1:9092,kafka-2:9092,kafka-3:9092 acks=all"
    words = f"--topic killed --num-records 4000 --record-size 100 --throughput 250 --producer-props {settings}"
    with cluster.begin(f"kafka-producer-perf-test.sh {words}") as producer:
        assert producer.stdout
        assert "records sent" in producer.stdout.readline()
        cluster.die(leader)
        told = producer.stdout.read()
        assert producer.wait() == 0, told
    assert "4000 records sent" in told
    assert count(cluster, "killed") == 4000
    eventually(lambda: cluster.health(leader) == "healthy", 60)
    eventually(lambda: in_sync(cluster, "killed") == {"1", "2", "3"}, 60)


def test_a_broker_more_is_no_controller(cluster: Cluster) -> None:
    cluster.up("--scale", "kafka=4")
    status = cluster.run(f"kafka-metadata-quorum.sh {ASK} describe --status")
    assert re.search(r"CurrentObservers:.*\b4\b", status)
    cluster.run(f"kafka-topics.sh {ASK} --create --topic wide --replica-assignment 4:1:2")
    assert leader_of(cluster, "wide") == "kafka-4"
    cluster.up("--scale", "kafka=3")
    eventually(lambda: leader_of(cluster, "wide") != "kafka-4", 30)


def test_down_and_up_find_everything_again(cluster: Cluster) -> None:
    cluster_id = cluster.run(f"kafka-cluster.sh cluster-id {ASK}")
    cluster.lab.corral("down")
    cluster.up()
    assert cluster.run(f"kafka-cluster.sh cluster-id {ASK}") == cluster_id
    assert count(cluster, "books") == len(LINES)
    assert count(cluster, "killed") == 4000
    assert "Formatting" not in cluster.lab.out("logs", "kafka")


def test_another_one_runs_beside_it_from_the_same_folder(cluster: Cluster) -> None:
    lab = cluster.lab
    try:
        lab.corral("-p", "other", "up", "-d", "--wait", timeout=240)
        asked = ("-p", "other", "exec", "-T", "client", "kafka-topics.sh", *ASK.split(), "--list")
        assert "books" not in lab.corral(*asked).stdout
        assert "books" in cluster.run(f"kafka-topics.sh {ASK} --list")
    finally:
        lab.corral("-p", "other", "down", "-v")


def test_a_format_that_was_cut_off_begins_again(cluster: Cluster) -> None:
    cluster.lab.corral("down", "-v")
    data = cluster.lab.owner.root / "volumes/books_kafka/_data"
    with cluster.lab.popen("up", "-d", "--wait") as up:
        eventually(lambda: list(data.glob("kafka-*.new")), 30)
        for name in ("kafka-1", "kafka-2", "kafka-3"):
            os.kill(cluster.lab.pid(name), signal.SIGKILL)
        up.wait(200)
    cluster.up()
    assert sorted(path.name for path in data.iterdir()) == ["cluster", "kafka-1", "kafka-2", "kafka-3"]
    cluster.run(f"kafka-topics.sh {ASK} --create --topic books")


@pytest.mark.parametrize("what", WHAT)
def test_an_up_that_is_broken_off_goes_on_and_nothing_is_formatted_twice(cluster: Cluster, what: str) -> None:
    moments = ("*kafka/_data/cluster", "*kafka/_data/kafka-*.new", "*kafka/_data/kafka-2")
    assert len(cluster.break_off_at(moments, what, ["*kafka/_data/kafka-[1-3]/meta.properties"])) == 1
    cluster.run(f"kafka-topics.sh {ASK} --create --topic books --partitions 3")
    cluster.run(f"kafka-console-producer.sh {ASK} --topic books", stdin="\n".join(LINES) + "\n")
    assert count(cluster, "books") == len(LINES)
