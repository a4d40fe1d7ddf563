"""Pages of the Hadoop lab lead to each other in a real browser on this machine, by the lab's own names."""

import pathlib
import re
from collections.abc import Iterator

import pytest

from tests.e2e.lab import eventually
from tests.e2e.labs import browser
from tests.e2e.labs.browser import Browser
from tests.e2e.labs.hadoop_cluster import Cluster

INIT = ("hadoop", "--workers", "2", "--memory", "4g")
TEXT = (pathlib.Path("/usr/share/common-licenses") / "GPL-3").read_text()


@pytest.fixture(scope="module")
def window(cluster: Cluster) -> Iterator[Browser]:
    """On a machine whose hosts file has the lab's names, as a user asked for it."""
    with cluster.named(), browser.on_the_machine_of(cluster.lab) as found:
        yield found


def page(cluster: Cluster, title: str) -> str:
    """Where `corral urls` says that it is."""
    found = re.search(rf"{title}\s+(http://\S+)", cluster.lab.out("urls"))
    assert found
    return found[1]


def test_from_the_namenode_to_a_datanode(cluster: Cluster, window: Browser) -> None:
    cluster.run("hdfs dfs -mkdir /in && hdfs dfs -put - /in/text", stdin=TEXT)
    assert page(cluster, "NameNode") == "http://namenode.books:9870/"
    window.open(page(cluster, "NameNode"))
    window.sees("Overview 'namenode.books:8020' (active)")
    window.follow("#tab-datanode$")
    assert window.follow(r"worker-2\.books:9864") == "http://worker-2.books:9864/"
    window.sees("DataNode on worker-2.books:9866")
    assert window.url.startswith("http://worker-2.books:9864/")


def test_a_daemons_log_is_where_its_page_leads(cluster: Cluster, window: Browser) -> None:
    for node, port, log in (
        ("namenode", 9870, "namenode"),
        ("worker-1", 9864, "datanode"),
        ("worker-1", 8042, "nodemanager"),
    ):
        window.open(f"http://{node}.books:{port}/logs/")
        window.follow(rf"\/logs\/hadoop-root-{log}-{node}\.log$")
        window.sees("STARTUP_MSG: Starting")


def test_a_file_is_shown_by_the_datanode_that_has_it(cluster: Cluster, window: Browser) -> None:
    """The NameNode's page has the browser ask a DataNode, which is another site for it."""
    window.open(page(cluster, "NameNode") + "explorer.html#/in")
    window.sees("text")
    assert window.value("document.title") == "Browsing HDFS"
    fetched = "fetch('http://namenode.books:9870/webhdfs/v1/in/text?op=OPEN').then(r => r.text())"
    window.value(f"{fetched}.then(t => document.body.innerText = t)")
    window.sees("GNU GENERAL PUBLIC LICENSE")


def test_from_the_resourcemanager_to_the_log_of_a_task(cluster: Cluster, window: Browser) -> None:
    cluster.run("yarn jar $EXAMPLES wordcount /in /out")
    assert page(cluster, "ResourceManager") == "http://resourcemanager.books:8088/"
    window.open(page(cluster, "ResourceManager"))
    window.sees("word count")
    window.follow(r"\/cluster\/app\/application_")
    window.sees("FinalStatus Reported by AM:")
    assert window.follow(r"\/proxy\/application_").startswith("http://resourcemanager.books:8088/proxy/")
    window.sees("MapReduce Job job_")
    assert window.url.startswith("http://historyserver.books:19888/jobhistory/job/")
    window.follow(r"\/jobhistory\/tasks\/job_\w+\/m")
    window.follow(r"\/jobhistory\/task\/task_")
    window.follow(r"\/jobhistory\/logs\/worker-\d\.books:8041\/container_")
    window.sees("Logged in as: root")
    eventually(lambda: window.reload() or "Log Type: syslog" in window.text, 60)  # it is brought to HDFS after the job
    window.sees("org.apache.hadoop.mapred.MapTask")


def test_from_the_resourcemanager_to_a_spark_application_that_runs(cluster: Cluster, window: Browser) -> None:
    """What it shows comes from the client, through the ResourceManager."""
    proxy = "http://resourcemanager.books:8088/proxy/application_"
    with cluster.typing(
        "pyspark --master yarn",
        ready="available as .spark",
        line="print('sum', sc.parallelize(range(10), 3).sum(), sc.master)",
        answer="sum 45 yarn",
        bye="exit()",
    ):
        window.open(page(cluster, "ResourceManager") + "cluster/apps/RUNNING")
        window.sees("PySparkShell")
        window.follow(r"\/cluster\/app\/application_")
        window.sees("RUNNING")
        assert window.follow(r"\/proxy\/application_").startswith(proxy)
        window.sees("Completed Jobs (1)")
        eventually(lambda: window.is_whole, 30)
        assert window.missing == []
        assert window.url.startswith(proxy)
        assert window.follow(r"\/proxy\/application_\w+\/executors").startswith(proxy)
        executors_own = r"worker-\d\.books:8042\/node\/containerlogs\/container_\w+_(?!000001)\d{6}\/root\/stderr"
        log = window.follow(
            executors_own
        )  # the first container is the application's master, which this page lists, too
        window.sees("Starting executor ID")
        assert window.url.startswith(log.partition("/node/")[0])


def test_from_the_resourcemanager_to_the_history_of_a_spark_application(cluster: Cluster, window: Browser) -> None:
    cluster.run(
        "spark-submit /jobs/wordcount.py hdfs:///in/text hdfs:///counts 2>/root/log || { cat /root/log; exit 1; }"
    )
    window.open(page(cluster, "ResourceManager"))
    window.sees("SPARK")
    window.follow(r"\/cluster\/app\/application_\d+_0003")
    proxy = window.follow(r"\/proxy\/application_")
    history = "http://sparkhistory.books:18080/history/application_"
    eventually(lambda: window.open(proxy) or window.url.startswith(history), 30)  # when it has left its ResourceManager
    eventually(lambda: window.reload() or "Spark Jobs" in window.text, 30)  # it looks for new ones every two seconds
    window.open(page(cluster, "Spark history"))
    eventually(lambda: window.reload() or "word count" in window.text, 30)


def test_from_the_resourcemanager_to_a_nodemanager(cluster: Cluster, window: Browser) -> None:
    window.open(page(cluster, "ResourceManager") + "cluster/nodes")
    assert window.follow(r"worker-1\.books:8042") == "http://worker-1.books:8042/"
    window.sees("Total Vmem allocated for Containers")
