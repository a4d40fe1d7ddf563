"""A running Hadoop lab."""

import json
import re
from typing import Any

from tests.e2e.labs import cluster


class Cluster(cluster.Cluster):
    def beans(self, node: str, port: int, name: str) -> dict[str, Any]:
        found = self.ask(node, port, f"/jmx?qry=Hadoop:service=NameNode,name={name}")["beans"][0]
        assert isinstance(found, dict)
        return found

    def live_datanodes(self) -> set[str]:
        return set(self.admin_states())

    def admin_states(self) -> dict[str, str]:
        """Mapping from name to "In Service", "Decommission In Progress", "Decommissioned", of the live DataNodes."""
        live = json.loads(self.beans("namenode", 9870, "NameNodeInfo")["LiveNodes"])
        return {re.sub(r":\d+$", "", name): node["adminState"] for name, node in live.items()}

    def running_nodemanagers(self) -> set[str]:
        nodes = self.ask("resourcemanager", 8088, "/ws/v1/cluster/nodes")["nodes"]["node"]
        return {node["nodeHostName"] for node in nodes if node["state"] == "RUNNING"}

    def finished_jobs(self) -> dict[str, str]:
        """Mapping from id to how it ended, of the jobs that the JobHistoryServer knows."""
        jobs = self.ask("historyserver", 19888, "/ws/v1/history/mapreduce/jobs")["jobs"] or {"job": []}
        return {job["id"]: job["state"] for job in jobs["job"]}
