"""What is here runs inside a guest only: `python tests/guests/boot.py`."""

import os

collect_ignore_glob = [] if os.environ.get("CORRAL_GUEST") else ["*"]
