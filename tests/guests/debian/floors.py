"""Which tests of the floors that need root run in the Debian guest, too. The table of keys in docs/specs.md is derived from this."""

KEYS = (
    "tests/specs/test_canonical_forms.py",
    "tests/specs/test_contents.py",
    "tests/specs/test_elsewhere.py",
    "tests/specs/test_where_files_come_from.py",
    "tests/reconciler/test_plans.py",
    "tests/e2e/test_limits.py",
    "tests/e2e/test_keys.py",
    "tests/e2e/test_volume_keys.py",
    "tests/e2e/test_volumes.py",
    "tests/e2e/test_shared_namespaces.py",
    "tests/e2e/test_user_namespaces.py",
    "tests/e2e/test_program_keys.py",
    "tests/e2e/test_networks.py",
    "tests/e2e/test_network_keys.py",
    "tests/e2e/test_ports.py",
    "tests/e2e/test_ipv6.py",
    "tests/e2e/test_health.py",
    "tests/e2e/test_hooks.py",
    "tests/e2e/test_lifecycle.py",
    "tests/e2e/test_log_drivers.py",
    "tests/e2e/test_external_links.py",
    "tests/e2e/test_first_steps.py",
    "tests/e2e/test_network_commands.py",
    "tests/e2e/test_volume_commands.py",
)
"""Of these only the tests that are marked with a key."""

WHOLE = (
    "tests/e2e/attacks/test_attack_machine.py",
    "tests/e2e/attacks/test_attack_namespaces.py",
    "tests/e2e/attacks/test_attack_network.py",
    "tests/e2e/attacks/test_attack_resources.py",
    "tests/e2e/attacks/test_attack_spec.py",
    "tests/e2e/attacks/test_attack_user_namespaces.py",
    "tests/engine/attacks/test_attack_entry.py",
    "tests/engine/test_process_birth.py",
    "tests/engine/test_process_exec.py",
    "tests/engine/test_process_mounts.py",
    "tests/engine/test_process_sharing.py",
    "tests/engine/test_process_start.py",
    "tests/engine/test_process_stop.py",
    "tests/engine/test_process_survival.py",
)

SKIPPED: frozenset[str] = frozenset()
"""Tests of these files that say in the guest that they show nothing there."""
