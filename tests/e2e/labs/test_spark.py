"""The Spark lab is what the books say: a master, workers that register with their names, jobs on all of them."""

import re

from tests.e2e.lab import eventually
from tests.e2e.labs import browser
from tests.e2e.labs import cluster as clusters

INIT = ("spark", "--workers", "3", "--memory", "5g")
PI = "/opt/spark/examples/src/main/python/pi.py"


class Cluster(clusters.Cluster):
    def alive(self) -> set[str]:
        return {
            worker["host"] for worker in self.ask("master", 8080, "/json/")["workers"] if worker["state"] == "ALIVE"
        }


def test_up_returns_when_the_cluster_is_usable(cluster: Cluster) -> None:
    assert cluster.alive() == {f"worker-{number}.books" for number in (1, 2, 3)}


def test_pages_link_to_each_other_by_full_names(cluster: Cluster) -> None:
    workers = cluster.ask("master", 8080, "/json/")["workers"]
    assert {worker["webuiaddress"] for worker in workers} == {f"http://worker-{n}.books:8081" for n in (1, 2, 3)}
    assert cluster.ask("worker-1", 8081, "/json/")["masterwebuiurl"] == "http://master.books:8080"
    assert len(cluster.lab.out("urls", "-q").split()) == 4


def test_jobs_run_on_all_workers(cluster: Cluster) -> None:
    told = cluster.run(f"spark-submit --conf spark.cores.max=3 {PI} 12 2>/root/log || {{ tail /root/log; exit 1; }}")
    assert re.search(r"Pi is roughly 3\.1", told)
    for number in (1, 2, 3):
        assert int(cluster.run("cat /tmp/work/*/*/stderr | grep -c 'Finished task'", node=f"worker-{number}"))


def test_the_shell_of_pyspark_has_the_cluster(cluster: Cluster) -> None:
    with cluster.typing(
        "pyspark",
        ready="available as .spark",
        line="print('sum', sc.parallelize(range(10), 3).sum(), sc.master)",
        answer="sum 45 spark://master:7077",
        bye="exit()",
    ):
        pass
    assert cluster.run("python3 -c 'import pyspark; print(pyspark.__version__)'") == "4.3.0\n"


def test_the_shell_of_spark_has_the_cluster_and_a_page_to_which_the_masters_leads(cluster: Cluster) -> None:
    with (
        cluster.named(),
        browser.on_the_machine_of(cluster.lab) as window,
        cluster.typing(
            "spark-shell --conf spark.cores.max=3",  # so it begins when all have come
            ready="available as .spark",
            line="""println("sum " + sc.parallelize(1 to 9, 3).sum.toInt + " " + sc.master)""",
            answer="sum 45 spark://master:7077",
            bye=":quit",
        ),
    ):
        window.open("http://master.books:8080/")
        window.sees("Running Applications (1)")
        window.sees("Spark shell")
        assert window.follow(r"worker-2\.books:8081") == "http://worker-2.books:8081/"
        window.sees("Running Executors (1)")
        window.follow(r"worker-2\.books:8081\/logPage\/.*logType=stderr")
        window.sees("Finished task")
        window.open("http://master.books:8080/")
        window.follow(r"master\.books:8080\/app\/?\?appId=")
        window.sees("Executor Summary (3)")
        assert window.follow(r"client\.books:4040").startswith("http://client.books:4040")
        window.sees("Completed Jobs (1)")
        window.follow(r"client\.books:4040\/jobs\/job\/\?id=0")
        window.sees("sum at <console>")
        window.follow(r"client\.books:4040\/executors")
        window.sees("worker-3.books")
        window.follow(r"worker-3\.books:8081\/logPage\/.*logType=stderr")
        window.sees("Finished task")


def test_every_node_has_every_tool(cluster: Cluster) -> None:
    for node in ("master", "worker-1", "client"):
        cluster.has_tools(node, ("spark-submit", "spark-shell", "pyspark", "spark-sql", "spark-class", "beeline"))
        assert "version 4.3.0" in cluster.run("spark-submit --version 2>&1", node=node)


def test_daemons_share_one_archive_of_classes(cluster: Cluster) -> None:
    for node in ("master", "worker-1"):
        assert int(cluster.run("cat /proc/$(pgrep -x java)/maps | grep -c classes.jsa", node=node))


def test_workers_come_die_and_go(cluster: Cluster) -> None:
    cluster.up("--scale", "worker=4")
    assert len(cluster.alive()) == 4
    cluster.die("worker-2")
    eventually(lambda: cluster.health("worker-2") == "healthy" and len(cluster.alive()) == 4, 60)
    cluster.up("--scale", "worker=3")
    eventually(lambda: len(cluster.alive()) == 3, 90)


def test_down_and_up_find_everything_again(cluster: Cluster) -> None:
    cluster.run("echo precious > /data/thesis")
    cluster.lab.corral("down")
    cluster.up()
    assert cluster.run("cat /data/thesis") == "precious\n"


def test_another_one_runs_beside_it_from_the_same_folder(cluster: Cluster) -> None:
    lab = cluster.lab
    try:
        lab.corral("-p", "other", "up", "-d", "--wait", "--scale", "worker=1", timeout=240)
        asked = ("-p", "other", "exec", "-T", "client", "bash", "-c", "ls /data")
        assert "thesis" not in lab.corral(*asked).stdout
        told = lab.corral("-p", "other", "exec", "-T", "client", "spark-submit", PI, "2", timeout=120).stdout
        assert re.search(r"Pi is roughly 3\.", told)
        assert cluster.alive() == {f"worker-{number}.books" for number in (1, 2, 3)}
    finally:
        lab.corral("-p", "other", "down", "-v")
