"""The Kafka lab is what the books say: brokers that agree on who leads, and lose no record that they said they have."""

import os
import pathlib
import re
import signal

import pytest

from tests.e2e.lab import eventually
from tests.e2e.labs.cluster import WHAT, Cluster

INIT = ("kafka", "--memory", "2g")
TEXT = (pathlib.Path("/usr/share/common-licenses") / "GPL-3").read_text()
LINES = [line for line in TEXT.splitlines() if line]
ASK = "--bootstrap-server kafka:9092"
TOOLS = """
connect-distributed connect-mirror-maker connect-plugin-path connect-standalone kafka-acls kafka-broker-api-versions
kafka-client-metrics kafka-cluster kafka-configs kafka-console-consumer kafka-console-producer kafka-console-share-consumer
kafka-consumer-groups kafka-consumer-perf-test kafka-delegation-tokens kafka-delete-records kafka-dump-log kafka-e2e-latency
kafka-features kafka-get-offsets kafka-groups kafka-jmx kafka-leader-election kafka-log-dirs kafka-metadata-quorum
kafka-metadata-shell kafka-producer-perf-test kafka-reassign-partitions kafka-replica-verification kafka-run-class
kafka-server-start kafka-server-stop kafka-share-consumer-perf-test kafka-share-groups kafka-storage
kafka-streams-application-reset kafka-streams-groups kafka-topics kafka-transactions kafka-verifiable-consumer
kafka-verifiable-producer kafka-verifiable-share-consumer trogdor
"""
"""What bin/ of kafka_2.13-4.1.1.tgz has: NAME.sh, of all of them."""

CONNECT = """
printf '%s\n' name=lines connector.class=FileStreamSource file=/root/lines topic=lines >/root/lines.properties
cat >/root/lines
connect-standalone.sh -daemon /etc/kafka/connect-standalone.properties /root/lines.properties
"""


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
    tools = {path.stem: path.read_text() for path in (cluster.lab.folder / "bin").glob("*.sh")}
    assert sorted(tools) == TOOLS.split()
    wanted = {name: re.findall(r"\b(?:org\.apache\.)?kafka\.(?:\w+\.)*[A-Z]\w+", text) for name, text in tools.items()}
    assert [name for name, found in wanted.items() if not found] == ["kafka-run-class"]
    classes = cluster.classes("kafka-4.1.1", "kafka-more-4.1.1")
    assert {each for found in wanted.values() for each in found} - classes == set()


def test_tools_are_on_every_node(cluster: Cluster) -> None:
    assert {node: cluster.run("kafka-topics.sh --version", node=node) for node in cluster.services()} == {
        "kafka": "4.1.1\n",
        "client": "4.1.1\n",
    }


def test_commands_end_as_the_originals_do(cluster: Cluster) -> None:
    for script, code in {
        f"kafka-topics.sh {ASK} --list": 0,
        f"kafka-topics.sh {ASK} --describe --topic nothing": 1,
        f"kafka-topics.sh {ASK} --create --topic books": 1,
        "kafka-topics.sh": 1,
        "kafka-topics.sh --version": 0,
        "kafka-run-class.sh": 1,
        "kafka-run-class.sh -name asked -loggc org.apache.kafka.tools.TopicCommand --version": 0,
        "grep -q 'Using Serial' /var/log/kafka/asked-gc.log": 0,
        "kafka-server-start.sh": 1,
        "kafka-server-stop.sh": 1,
        f"kafka-streams-groups.sh {ASK} --list": 0,
        "kafka-share-consumer-perf-test.sh": 1,
        "kafka-verifiable-share-consumer.sh --help": 1,
        "connect-plugin-path.sh list --plugin-location /opt/kafka-more/lib/connect-file-4.1.1.jar": 0,
        "connect-standalone.sh": 1,
        "connect-distributed.sh": 1,
        "connect-mirror-maker.sh": 1,
        "connect-mirror-maker.sh --help": 255,
        "trogdor.sh": 0,
        "trogdor.sh frobnicate": 1,
    }.items():
        cluster.run(script, code=code)
    assert "The Trogdor fault injection agent" in cluster.run("trogdor.sh agent --help", code=1)


def test_connect_brings_the_lines_of_a_file(cluster: Cluster) -> None:
    """In the background, where it says what it does into a file."""
    cluster.run(CONNECT, stdin="\n".join(LINES[:20]) + "\n")
    read = f"kafka-console-consumer.sh {ASK} --topic lines --from-beginning --max-messages 20 --timeout-ms 60000"
    assert cluster.run(read).splitlines() == LINES[:20]
    cluster.run("grep 'Kafka Connect started' /var/log/kafka/connectStandalone.out && pkill -f ConnectStandalone")


def test_a_broker_that_is_told_to_stop_hands_over_and_its_node_starts_it_again(cluster: Cluster) -> None:
    pid = cluster.lab.pid("kafka-2")
    cluster.run("kafka-server-stop.sh --node-id=1", node="kafka-2", code=1)
    cluster.run("kafka-server-stop.sh --node-id=2", node="kafka-2")
    eventually(lambda: cluster.lab.ps()["kafka-2"]["Pid"] not in (0, pid), 60)
    eventually(lambda: cluster.health("kafka-2") == "healthy", 60)
    assert [event["attributes"]["exitCode"] for event in cluster.events("die")] in (["0"], ["143"])


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


def test_a_broker_more_is_no_controller_and_goes_without_its_partitions(cluster: Cluster) -> None:
    """What was not moved has a copy less for as long as it is away."""
    cluster.up("--scale", "kafka=4")
    status = cluster.run(f"kafka-metadata-quorum.sh {ASK} describe --status")
    assert re.search(r"CurrentObservers:.*\b4\b", status)
    for topic in ("wide", "left"):
        cluster.run(f"kafka-topics.sh {ASK} --create --topic {topic} --replica-assignment 4:1:2")
        assert leader_of(cluster, topic) == "kafka-4"
    cluster.run("cat >/root/topics.json", stdin='{"version": 1, "topics": [{"topic": "wide"}]}')
    generate = "--generate --topics-to-move-json-file /root/topics.json --broker-list 1,2,3"
    cluster.run(f"kafka-reassign-partitions.sh {ASK} {generate} | tail -n 1 >/root/moves.json")
    move = f"kafka-reassign-partitions.sh {ASK} --reassignment-json-file /root/moves.json"
    cluster.run(f"{move} --execute")
    eventually(lambda: "wide-0 is completed" in cluster.run(f"{move} --verify"), 30)
    cluster.up("--scale", "kafka=3")
    assert in_sync(cluster, "wide") == {"1", "2", "3"}
    eventually(lambda: leader_of(cluster, "left") != "kafka-4", 30)
    assert in_sync(cluster, "left") == {"1", "2"}


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
        eventually(lambda: list(data.glob("kafka-*")), 30)
        for name in ("kafka-1", "kafka-2", "kafka-3"):
            os.kill(cluster.lab.pid(name), signal.SIGKILL)
        up.wait(200)
    cluster.up()
    assert sorted(path.name for path in data.iterdir()) == ["cluster", "kafka-1", "kafka-2", "kafka-3"]
    cluster.run(f"kafka-topics.sh {ASK} --create --topic books")


@pytest.mark.parametrize("what", WHAT)
def test_an_up_that_is_broken_off_goes_on_and_nothing_is_formatted_twice(cluster: Cluster, what: str) -> None:
    moments = ("*kafka/_data/cluster", "*kafka/_data/kafka-*", "*kafka/_data/kafka-2")
    assert len(cluster.break_off_at(moments, what, ["*kafka/_data/kafka-[1-3]/meta.properties"])) == 1
    cluster.run(f"kafka-topics.sh {ASK} --create --topic books --partitions 3")
    cluster.run(f"kafka-console-producer.sh {ASK} --topic books", stdin="\n".join(LINES) + "\n")
    assert count(cluster, "books") == len(LINES)
