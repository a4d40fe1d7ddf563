"""Every attack that corral is tested against, and where: the known holes of other engines by number, then our own ideas.

A row names its tests, or says why there is nothing to attack yet. `tests/test_attack_rows.py` sees to it that it does, and that
each reason still is one.
"""

from typing import NamedTuple

ENTRY = "tests/engine/attacks/test_attack_entry.py::"
MOUNTS = "tests/engine/test_process_mounts.py::"
START = "tests/engine/test_process_start.py::"
EXEC = "tests/engine/test_process_exec.py::"
MACHINE = "tests/e2e/attacks/test_attack_machine.py::"
NAMESPACES = "tests/e2e/attacks/test_attack_namespaces.py::"
NETWORK = "tests/e2e/attacks/test_attack_network.py::"
NEIGHBOURS = "tests/e2e/attacks/test_attack_neighbours.py::"
RESOURCES = "tests/e2e/attacks/test_attack_resources.py::"
CLIENTS = "tests/e2e/attacks/test_attack_clients.py::"
USERNS = "tests/e2e/attacks/test_attack_user_namespaces.py::"
COPYING = "tests/e2e/attacks/test_attack_copying.py::"
CP = "tests/e2e/test_cp.py::"
TREES = "tests/engine/pure/test_copying.py::"
SPEC = "tests/e2e/attacks/test_attack_spec.py::"

NO_PULL = "nothing is fetched from a registry yet"
NO_BUILD = "corral does not build images yet"
NO_FETCHED_FILES = "compose files are read from this machine only"
NO_AUTHORISATION = "nothing is decided by a request's content: who may use the socket may do everything"
NO_PLUGINS = (
    "engine and daemon have no plugins; what a provider's program may do is what whoever starts the command may"
)
NO_CHECKPOINTS = "there are no checkpoints"


class Row(NamedTuple):
    """`tests` are file::function; without any, `why` says what is missing to be attacked."""

    number: int
    cve: str
    subject: str
    tests: tuple[str, ...] = ()
    why: str = ""


ROWS = (
    Row(
        1,
        "CVE-2019-5736",
        "overwriting the runtime through /proc/PID/exe",
        (
            EXEC + "test_the_process_that_becomes_a_command_shows_nothing_of_the_machine",
            MACHINE + "test_programs_replaced_by_links_to_our_runtime_overwrite_nothing",
        ),
    ),
    Row(
        2,
        "CVE-2019-14271",
        "libraries of the image loaded by the engine",
        (ENTRY + "test_an_image_with_libraries_of_its_own_gets_none_of_them_loaded_by_us",),
    ),
    Row(
        3,
        "CVE-2026-41567",
        "programs of the image run by cp",
        (COPYING + "test_no_program_of_the_image_is_run_by_a_copy",),
    ),
    Row(
        4,
        "CVE-2018-15664, CVE-2026-42306",
        "links swapped during cp",
        (
            CP + "test_a_container_that_swaps_links_gets_and_gives_nothing_of_the_machine",
            CP + "test_planted_links_and_magic_links_lead_nowhere",
            TREES + "test_a_directory_that_is_swapped_for_a_link_meanwhile_changes_nothing_where_it_leads",
        ),
    ),
    Row(
        5,
        "CVE-2021-41089",
        "modes of the machine's files changed by cp",
        (
            COPYING + "test_no_mode_of_the_machines_files_is_changed_by_a_copy",
            TREES + "test_a_directory_that_is_swapped_for_a_link_meanwhile_changes_nothing_where_it_leads",
            TREES + "test_no_mode_is_given_through_a_link_of_any_kind",
        ),
    ),
    Row(
        6,
        "CVE-2021-30465",
        "a mount's place swapped for a link by a neighbour",
        (MOUNTS + "test_a_neighbour_who_swaps_a_target_for_a_link_wins_nothing",),
    ),
    Row(
        7,
        "CVE-2024-45310",
        "files and folders made on the machine by links on the way",
        (
            MOUNTS + "test_a_neighbour_who_swaps_a_target_for_a_link_wins_nothing",
            MOUNTS + "test_links_on_the_way_to_a_target_stay_inside_the_root",
        ),
    ),
    Row(
        8,
        "CVE-2025-31133",
        "a link for /dev/null, with which paths are masked",
        (ENTRY + "test_a_null_device_that_is_a_link_masks_nothing_of_the_attackers",),
    ),
    Row(
        9,
        "CVE-2025-52565",
        "a link or node for /dev/console and the ptys",
        (ENTRY + "test_a_terminal_is_never_one_that_the_container_put_there",),
    ),
    Row(
        10,
        "CVE-2025-52881",
        "what we write to /proc led elsewhere",
        (ENTRY + "test_a_neighbour_who_leads_a_mount_into_proc_wins_nothing",),
    ),
    Row(
        11,
        "CVE-2026-41579, CVE-2026-47766",
        "an image whose /dev, /proc or /sys is a link",
        (MOUNTS + "test_an_image_whose_kernel_directories_are_links_gets_nothing_mounted_there",),
    ),
    Row(
        12,
        "CVE-2024-21626",
        "a working directory that is a descriptor of the machine's",
        (
            START + "test_the_working_directory_is_made_and_a_magic_one_refused",
            EXEC + "test_user_and_working_directory_can_be_others",
        ),
    ),
    Row(
        13,
        "CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642",
        "volumes and links over /proc",
        (
            MOUNTS + "test_targets_that_are_the_kernels_or_the_images_are_refused",
            MOUNTS + "test_a_target_that_leads_to_proc_is_refused",
        ),
    ),
    Row(
        14,
        "CVE-2022-24769, CVE-2022-29162, CVE-2022-27649",
        "inheritable capabilities",
        (
            START + "test_capabilities_are_dockers_and_nothing_is_inheritable",
            EXEC + "test_it_is_confined_as_the_container_is",
        ),
    ),
    Row(
        15,
        "CVE-2022-0492",
        "cgroup v1's release_agent",
        (MACHINE + "test_no_release_agent_and_no_other_program_of_the_kernels_can_be_set",),
    ),
    Row(16, "CVE-2023-25809", "writable cgroups", (MACHINE + "test_its_own_limits_cannot_be_raised_or_left",)),
    Row(17, "CVE-2022-0811", "sysctls", (SPEC + "test_settings_of_the_kernels_that_a_file_asks_for_are_refused",)),
    Row(
        18,
        "CVE-2024-3154",
        "names that become paths or properties",
        (
            SPEC + "test_a_name_that_is_a_path_or_a_terminals_command_is_refused_in_clean_words",
            SPEC + "test_a_projects_name_never_is_a_path",
        ),
    ),
    Row(
        19,
        "CVE-2026-30892, CVE-2024-40635",
        "users whose number wraps or is misread",
        (START + "test_a_user_that_cannot_be_is_refused",),
    ),
    Row(
        20,
        "CVE-2022-36109, CVE-2023-25173",
        "supplementary groups",
        (START + "test_the_user_has_exactly_the_groups_of_the_image",),
    ),
    Row(
        21,
        "CVE-2025-4437, CVE-2024-5154",
        "a huge passwd, a pipe for it, links for what we put in /etc",
        (
            START + "test_a_passwd_that_is_a_pipe_or_huge_is_refused_and_not_waited_for",
            ENTRY + "test_links_in_a_volume_lead_nothing_that_we_write_out_of_the_container",
        ),
    ),
    Row(
        22,
        "CVE-2020-15257",
        "abstract sockets in the machine's network",
        (MACHINE + "test_no_socket_of_ours_is_reached_through_the_machines_network",),
    ),
    Row(23, "CVE-2020-15157", "credentials sent to a stranger by a manifest", why=NO_PULL),
    Row(24, "CVE-2021-41190", "a manifest that is two", why=NO_PULL),
    Row(25, "CVE-2021-21285, CVE-2023-25153", "manifests without end", why=NO_PULL),
    Row(26, "CVE-2024-3727", "a digest that is a path", why=NO_PULL),
    Row(
        27,
        "CVE-2022-23648",
        "a volume's place that is a link to the machine's files",
        (MOUNTS + "test_a_volume_at_a_link_is_filled_from_inside_the_image",),
    ),
    Row(
        28,
        "CVE-2021-32760, CVE-2026-17106, CVE-2025-11395",
        "links in layers: in archives, of which `cp` unpacks some; layers there are none yet",
        (
            CP + "test_a_hostile_archive_gets_no_further_than_its_folder",
            TREES + "test_what_leads_outside_is_left_out_and_the_rest_is_not",
            TREES + "test_links_that_lead_out_of_the_copy_through_each_other_are_left_out",
            TREES + "test_nothing_is_written_through_a_link_that_was_there_or_came_along",
            TREES + "test_no_mode_is_given_through_a_link_of_any_kind",
        ),
    ),
    Row(
        29,
        "CVE-2007-4559, CVE-2024-12718, CVE-2025-4138, CVE-2025-4517, CVE-2025-8194",
        "Python's tarfile",
        (
            "tests/test_architecture.py::test_tarfile_reads_archives_and_lays_nothing_down",
            TREES + "test_what_leads_outside_is_left_out_and_the_rest_is_not",
            TREES + "test_a_directory_that_is_swapped_for_a_link_meanwhile_changes_nothing_where_it_leads",
            TREES + "test_links_too_long_to_resolve_lead_nowhere",
            TREES + "test_an_entry_of_less_than_nothing_ends_the_reading",
        ),
    ),
    Row(30, "CVE-2024-23651, CVE-2024-23652, CVE-2024-23653", "BuildKit's mounts", why=NO_BUILD),
    Row(31, "CVE-2024-1753, CVE-2024-9407, CVE-2024-9675, CVE-2024-11218", "buildah's mounts", why=NO_BUILD),
    Row(32, "CVE-2026-33747, CVE-2026-33748", "frontends and git contexts of builds", why=NO_BUILD),
    Row(33, "CVE-2025-62725", "compose files from a registry", why=NO_FETCHED_FILES),
    Row(34, "CVE-2024-24557", "a poisoned build cache", why=NO_BUILD),
    Row(
        35,
        "CVE-2025-9566, CVE-2023-0778",
        "links in a volume's content",
        (ENTRY + "test_links_in_a_volume_lead_nothing_that_we_write_out_of_the_container",),
    ),
    Row(
        36,
        "CVE-2022-1227",
        "programs of the image run by top",
        (COPYING + "test_no_program_of_the_image_is_run_by_who_lists_its_processes",),
    ),
    Row(
        37,
        "CVE-2021-20199, CVE-2020-8558",
        "the machine's 127.0.0.1, and what is published there",
        (
            "tests/e2e/test_ports.py::test_attack_on_the_hosts_127_0_0_1_from_the_lan",
            "tests/e2e/test_ports.py::test_attack_on_the_hosts_127_0_0_1_from_a_container",
            NETWORK + "test_no_address_of_the_machines_leads_to_what_is_its_own_alone",
            NETWORK + "test_the_machine_is_not_told_lies_about_who_is_asking",
        ),
    ),
    Row(
        38,
        "CVE-2025-54388, CVE-2025-54410",
        "rules that somebody flushes",
        (NETWORK + "test_rules_that_somebody_flushes_leave_nothing_open_for_longer_than_a_second_and_a_half",),
    ),
    Row(
        39,
        "CVE-2024-29018",
        "questions of an internal network passed on",
        ("tests/e2e/test_networks.py::test_an_internal_network_reaches_nothing_outside_and_asks_nobody_outside",),
    ),
    Row(
        40,
        "CVE-2024-32473, CVE-2020-13401",
        "IPv6 where there should be none",
        (
            NETWORK + "test_a_container_that_plays_an_ipv6_router_gets_no_followers",
            "tests/e2e/test_ipv6.py::test_a_member_that_plays_a_router_gets_no_followers",
        ),
    ),
    Row(
        41,
        "CVE-2021-41091, CVE-2021-41103, CVE-2024-25621",
        "set-uid programs in folders that users of the machine can enter",
        (MACHINE + "test_users_of_the_machine_find_no_set_uid_program_in_our_folders",),
    ),
    Row(
        42,
        "CVE-2021-21284",
        "a remapped root in the data folder",
        (
            USERNS + "test_outside_it_is_nobody_and_has_nothing_of_ours_or_others",
            USERNS + "test_a_set_uid_program_it_leaves_in_a_volume_is_reached_by_nobody",
        ),
    ),
    Row(
        43,
        "CVE-2024-41110, CVE-2026-34040",
        "requests that are authorised unread",
        why=NO_AUTHORISATION,
    ),
    Row(
        44,
        "CVE-2022-31030, CVE-2022-1708, CVE-2022-23471, CVE-2025-64329",
        "output and clients that exhaust memory",
        (
            RESOURCES + "test_commands_that_nobody_reads_or_that_are_left_alone_leak_nothing",
            CLIENTS + "test_a_crowd_that_does_not_get_on_keeps_nobody_outside_and_leaves_nothing",
            RESOURCES + "test_a_flood_of_output_costs_no_memory_and_no_neighbour",
        ),
    ),
    Row(
        45,
        "CVE-2020-8557",
        "/etc/hosts and its like as a way to fill the machine",
        (RESOURCES + "test_the_files_that_we_keep_for_it_cannot_fill_the_machine",),
    ),
    Row(
        46,
        "CVE-2024-9676",
        "a passwd that is a pipe or a link",
        (START + "test_a_passwd_that_is_a_pipe_or_huge_is_refused_and_not_waited_for",),
    ),
    Row(
        47,
        "CVE-2022-0185, CVE-2022-0847, CVE-2026-31431",
        "calls behind which kernel bugs were found",
        (MACHINE + "test_calls_behind_which_kernel_bugs_were_found_are_not_to_be_had",),
    ),
    Row(48, "CVE-2026-33997", "privileges of plugins", why=NO_PLUGINS),
    Row(49, "CVE-2026-53492, CVE-2026-50195", "what a checkpoint's archive says", why=NO_CHECKPOINTS),
    Row(
        50,
        "",
        "everything wasted at once",
        (RESOURCES + "test_all_that_one_can_waste_at_once_leaves_the_others_served",),
    ),
)

OWN = {
    "an exec into a container that replaced its programs": ROWS[0].tests,
    "stopping whoever enters": (ENTRY + "test_who_is_stopped_while_entering_is_given_up_with_its_caller",),
    "outliving a stop": (ENTRY + "test_nothing_outlives_its_container",),
    "a fork bomb": (
        "tests/e2e/test_limits.py::test_a_fork_bomb_ends_at_the_limit",
        "tests/engine/test_process_stop.py::test_a_fork_bomb_is_ended",
    ),
    "a memory hog": ("tests/e2e/test_limits.py::test_death_by_the_memory_limit_is_told_apart",),
    "100,000 files in /dev/shm": (RESOURCES + "test_a_hundred_thousand_files_in_shared_memory_are_the_containers_own",),
    "a flood of output": (RESOURCES + "test_a_flood_of_output_costs_no_memory_and_no_neighbour",),
    "a tree too deep to remove": (RESOURCES + "test_a_tree_that_is_too_deep_to_name_is_removed_with_its_container",),
    "control characters in a label or a variable": (
        SPEC + "test_labels_commands_and_variables_reach_no_terminal_as_they_are",
    ),
    "control characters in what a container has us complain of": (
        SPEC + "test_what_a_container_makes_us_complain_of_reaches_no_terminal_as_it_is",
    ),
    "answering DNS for others": (NETWORK + "test_no_answer_of_a_containers_is_taken_for_one_of_the_gateways",),
    "ARP spoofing": (
        NETWORK + "test_claimed_addresses_of_other_networks_and_of_the_lan_are_believed_by_nobody",
        NEIGHBOURS + "test_who_claims_to_be_the_gateway_gets_nothing_of_what_is_for_it",
    ),
    "MAC and ARP floods": (NETWORK + "test_members_made_up_by_the_thousand_fill_no_table_of_the_machines",),
    "speaking in a neighbour's name": (
        NEIGHBOURS + "test_a_member_is_heard_under_its_own_name_only",
        NEIGHBOURS + "test_who_may_have_other_addresses_is_believed",
        NEIGHBOURS + "test_who_joins_with_the_right_to_other_addresses_frees_its_sandbox_and_nothing_starts_again",
        NEIGHBOURS + "test_a_member_goes_about_its_business",
        NEIGHBOURS + "test_a_guard_that_somebody_took_away_comes_back",
    ),
    "source spoofing": (
        NETWORK + "test_the_machine_is_not_told_lies_about_who_is_asking",
        NETWORK + "test_nobody_outside_is_told_lies_about_who_is_asking",
        NETWORK + "test_another_network_is_not_reached_under_a_false_name",
    ),
    "every capability in a user namespace": (
        USERNS + "test_every_capability_inside_changes_nothing_outside",
        USERNS + "test_what_it_may_read_of_the_machines_it_cannot_write",
        USERNS + "test_it_enters_no_other_container_and_sees_none",
        USERNS + "test_who_enters_by_exec_shows_nothing_of_the_machine",
    ),
    "what the kernel counts of each user": (USERNS + "test_what_the_kernel_counts_of_each_user_it_takes_from_nobody",),
    "the daemon's socket": (MACHINE + "test_the_daemons_socket_is_nowhere_to_be_found",),
    "another network": ("tests/e2e/test_networks.py::test_networks_are_isolated_from_each_other",),
    "the machine's 127.0.0.1 and its published ports": ROWS[36].tests,
    "our processes, seen through pid: host": (
        NAMESPACES + "test_who_sees_our_processes_opens_none_of_them",
        NAMESPACES + "test_the_attack_on_our_processes_succeeds_on_what_is_its_own",
    ),
    "whoever comes into a shared pid namespace": (
        NAMESPACES + "test_who_comes_into_a_pid_namespace_is_not_opened_on_its_way",
        NAMESPACES + "test_what_is_hidden_in_proc_stays_hidden_in_anothers_pid_namespace",
    ),
}
"""What somebody tries who knows no hole."""
