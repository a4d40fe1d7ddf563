"""Which tests of the other floors run in the Debian guest, too. The table of keys in docs/specs.md is derived from this.

It is what depends on the kernel, its cgroups and its firewall; as much as an emulated machine can do in ten minutes.
"""

import ast
import os
from functools import cache
from pathlib import Path

KEYS = (
    "tests/specs/test_canonical_forms.py",
    "tests/specs/test_contents.py",
    "tests/specs/test_elsewhere.py",
    "tests/specs/test_where_files_come_from.py",
    "tests/reconciler/test_plans.py",
    "tests/e2e/test_first_steps.py",
    "tests/e2e/test_ipv6.py",
    "tests/e2e/test_keys.py",
    "tests/e2e/test_limits.py",
    "tests/e2e/test_memory_guaranteed.py",
    "tests/e2e/test_network_keys.py",
    "tests/e2e/test_networks.py",
    "tests/e2e/test_pages.py",
    "tests/e2e/test_ports.py",
    "tests/e2e/test_replicas.py",
    "tests/e2e/test_user_namespaces.py",
    "tests/e2e/test_volume_keys.py",
)
"""Of these only the tests that are marked with a key."""

WHOLE = (
    "tests/e2e/test_commands_live.py",
    "tests/e2e/test_isolation.py",
    "tests/e2e/test_update.py",
    "tests/e2e/attacks/test_attack_machine.py",
    "tests/e2e/attacks/test_attack_namespaces.py",
    "tests/e2e/attacks/test_attack_neighbours.py",
    "tests/e2e/attacks/test_attack_network.py",
    "tests/e2e/attacks/test_attack_resources.py",
    "tests/e2e/attacks/test_attack_user_namespaces.py",
)

KEYS_FOR_LONG = (
    "tests/e2e/test_external_links.py",
    "tests/e2e/test_health.py",
    "tests/e2e/test_hooks.py",
    "tests/e2e/test_lifecycle.py",
    "tests/e2e/test_log_drivers.py",
    "tests/e2e/test_network_commands.py",
    "tests/e2e/test_program_keys.py",
    "tests/e2e/test_shared_namespaces.py",
    "tests/e2e/test_volume_commands.py",
    "tests/e2e/test_volumes.py",
)
WHOLE_FOR_LONG = (
    "tests/e2e/attacks/test_attack_spec.py",
    "tests/e2e/test_attach.py",
    "tests/e2e/test_cp.py",
    "tests/engine/attacks/test_attack_entry.py",
    "tests/engine/test_older_kernels.py",
    "tests/engine/test_process_birth.py",
    "tests/engine/test_process_exec.py",
    "tests/engine/test_process_mounts.py",
    "tests/engine/test_process_sharing.py",
    "tests/engine/test_process_start.py",
    "tests/engine/test_process_stop.py",
    "tests/engine/test_process_survival.py",
)
"""These and the ones above run with CORRAL_GUESTS=long only, for another hour."""

SKIPPED = frozenset({"tests/e2e/test_log_drivers.py::test_the_journal_gets_each_line_with_its_fields"})
"""Tests of these files that say in the guest that they show nothing there: it has a journal of its own."""

FILES = (*KEYS, *WHOLE)
FILES_FOR_LONG = (*KEYS_FOR_LONG, *WHOLE_FOR_LONG)
TOP = Path(__file__).parents[3]
MARK = "pytest.mark.key"


def chosen() -> tuple[str, ...]:
    """The files that this run is asked for: CORRAL_GUESTS is 1, `long`, or files."""
    asked = os.environ.get("CORRAL_GUESTS", "")
    named = tuple(file for file in (*FILES, *FILES_FOR_LONG) if file in asked.split())
    return named or (FILES_FOR_LONG if asked == "long" else FILES)


@cache
def tests_of(file: str) -> tuple[str, ...]:
    """Those of the file that run in the guest, as `tests/e2e/test_keys.py::test_shm_size`."""
    tree = ast.parse((TOP / file).read_text())
    of_module = [node for node in tree.body if isinstance(node, ast.Assign)]
    everything = file in (*WHOLE, *WHOLE_FOR_LONG) or any(MARK in ast.unparse(node) for node in of_module)
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return tuple(
        f"{file}::{test.name}"
        for test in tests
        if test.name.startswith("test_") and (everything or any(MARK in ast.unparse(d) for d in test.decorator_list))
    )
