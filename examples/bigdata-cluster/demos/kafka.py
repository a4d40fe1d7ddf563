"""What the Kafka lab is for: records that are kept, also when a broker dies under those who write them."""

import os
import re

import cluster
from proof import Failed, eventually, prove, show, step

ASK = "--bootstrap-server kafka:9092"
RECORDS = 4000


def prove_all() -> None:
    step("kafka-metadata-quorum.sh describe --status")
    status = cluster.inside("client", f"kafka-metadata-quorum.sh {ASK} describe --status")
    show(status)
    prove(re.search(r"LeaderId:\s+[123]\n", status), "the three controllers have a leader")
    lines()
    kill()


def lines() -> None:
    step("kafka-topics.sh, kafka-console-producer.sh, kafka-console-consumer.sh")
    text = "\n".join(f"line {number}" for number in range(1000)) + "\n"
    cluster.inside("client", f"kafka-topics.sh {ASK} --create --topic lines --partitions 3")
    show(cluster.inside("client", f"kafka-topics.sh {ASK} --describe --topic lines"))
    cluster.inside("client", f"kafka-console-producer.sh {ASK} --topic lines", stdin=text.encode())
    words = f"kafka-console-consumer.sh {ASK} --topic lines --from-beginning --max-messages 1000 2>/dev/null"
    read = cluster.inside("client", words).splitlines()
    prove(sorted(read) == sorted(text.splitlines()), "1000 lines written, 1000 lines read")


def kill() -> None:
    step(f"A producer writes {RECORDS} records with acks=all; the broker that leads is killed")
    cluster.inside("client", f"kafka-topics.sh {ASK} --create --topic killed --partitions 1")
    described = cluster.inside("client", f"kafka-topics.sh {ASK} --describe --topic killed")
    found = re.search(r"Partition: 0\s+Leader: (\d)", described)
    if not found:
        raise Failed(described)
    leader = f"kafka-{found[1]}"
    settings = "bootstrap.servers=kafka-1:9092,kafka-2:9092,kafka-3:9092 acks=all"
    words = f"--topic killed --num-records {RECORDS} --record-size 100 --throughput 250 --producer-props {settings}"
    with cluster.begin("client", f"kafka-producer-perf-test.sh {words} 2>&1") as producer:
        told = [next(iter(producer.stdout or ())).decode()]
        os.kill(cluster.nodes()[leader]["Pid"], 9)
        told += [line.decode() for line in producer.stdout or ()]
    show("".join(told))
    prove(producer.returncode == 0, f"{leader} was killed, and the producer ended well")
    words = f"kafka-console-consumer.sh {ASK} --topic killed --from-beginning --timeout-ms 8000 2>/dev/null | wc -l"
    prove(int(cluster.inside("client", words)) == RECORDS, f"all {RECORDS} records are there")
    eventually(lambda: cluster.nodes()[leader]["Health"] == "healthy", f"{leader} is back", 60)
    prove(True, f"{leader} is back in the cluster")
