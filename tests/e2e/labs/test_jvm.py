"""What a JVM in a container sees of its machine; tests/guests/debian/test_debian_machine.py asks it in a guest with cgroup v2."""

from tests.e2e.lab import Lab

SEES = """
services:
  jvm: {image: host, network_mode: none, mem_limit: 300m, cpus: 1.5, command: [java, "-XshowSettings:system", -version]}
"""


def test_a_jvm_sees_the_limits_of_its_container(lab: Lab) -> None:
    lab.up(SEES)
    lab.corral("wait", "jvm")
    said = lab.out("logs", "--no-log-prefix", "jvm")
    assert "Memory Limit: 300.00M" in said
    assert "CPU Quota: 150000us" in said
    assert "Effective CPU Count: 2" in said
