"""A running Hadoop lab, judged from outside: by what its nodes say over HTTP, and by what commands in them write."""

import json
import re
import urllib.request
from typing import Any

from tests.e2e.lab import Lab


class Cluster:
    """`node` is a SERVICE, or SERVICE-N."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(self, script: str, *, node: str = "client", code: int | None = 0, stdin: str | None = None) -> str:
        """What a shell in a node writes to standard output."""
        service, _, index = node.partition("-")
        words = ("--index", index) if index else ()
        argv = ("exec", "-T", *words, service, "bash", "-c", script)
        return self.lab.corral(*argv, code=code, timeout=240, stdin=stdin).stdout

    def up(self, *words: str) -> None:
        self.lab.corral("up", "-d", "--wait", *words, timeout=240)

    def ask(self, node: str, port: int, path: str) -> Any:
        """The JSON that a node answers with."""
        url = f"http://{self.address(node)}:{port}{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        with self.lab.machine.inside(), opener.open(request, timeout=10) as answer:
            return json.loads(answer.read())

    def address(self, node: str) -> str:
        service = node.rpartition("-")[0] or node
        return self.lab.address(node if service != node else f"{node}-1")

    def beans(self, node: str, port: int, name: str) -> dict[str, Any]:
        found = self.ask(node, port, f"/jmx?qry=Hadoop:service=NameNode,name={name}")["beans"][0]
        assert isinstance(found, dict)
        return found

    def live_datanodes(self) -> set[str]:
        return {
            re.sub(r":\d+$", "", name) for name in json.loads(self.beans("namenode", 9870, "NameNodeInfo")["LiveNodes"])
        }

    def running_nodemanagers(self) -> set[str]:
        nodes = self.ask("resourcemanager", 8088, "/ws/v1/cluster/nodes")["nodes"]["node"]
        return {node["nodeHostName"] for node in nodes if node["state"] == "RUNNING"}

    def finished_jobs(self) -> dict[str, str]:
        """Mapping from id to how it ended, of the jobs that the JobHistoryServer knows."""
        jobs = self.ask("historyserver", 19888, "/ws/v1/history/mapreduce/jobs")["jobs"] or {"job": []}
        return {job["id"]: job["state"] for job in jobs["job"]}
