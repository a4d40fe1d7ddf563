"""What the tests of this floor share: a machine of one's own (`host`), a place to start containers in (`lab`)."""

from tests.engine.host_namespace import host
from tests.engine.process_kit import anyio_backend, busybox_root, lab

__all__ = ["anyio_backend", "busybox_root", "host", "lab"]
