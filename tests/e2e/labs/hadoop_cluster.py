"""A running Hadoop lab."""

import json
import re
from typing import Any

from tests.e2e.labs import cluster

TOOLS = """set -eu
for tool in hadoop hdfs mapred yarn; do
    command -v $tool >/dev/null
    echo "$tool: $($tool version | sed -n 1p)"
done
for tool in beeline pyspark spark-shell spark-sql spark-submit; do
    command -v $tool >/dev/null
    echo "$tool: $($tool --version 2>&1 </dev/null | grep -o 'version [0-9].*')"
done
echo "submitted to: $(spark-submit --verbose --class none $EXAMPLES 2>&1 | sed -n 's/^ *master  *//p')"
"""
TOLD_BY_TOOLS = {
    **dict.fromkeys(("hadoop", "hdfs", "mapred", "yarn"), "Hadoop 3.4.2"),
    **dict.fromkeys(("pyspark", "spark-shell", "spark-sql", "spark-submit"), "version 4.3.0"),
    "beeline": "version 2.3.10 by Apache Hive",
    "submitted to": "yarn",
}


def told_by_tools(found: cluster.Cluster) -> dict[str, dict[str, str]]:
    """Mapping from each service of the lab to what the tools that students type say there, which are on everybody's PATH."""
    shells = {service: found.begin(TOOLS, node=service) for service in found.services()}
    texts = {service: shell.communicate()[0] for service, shell in shells.items()}
    return {
        service: dict(line.partition(": ")[::2] for line in text.splitlines() if ": " in line)
        for service, text in texts.items()
    }


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
