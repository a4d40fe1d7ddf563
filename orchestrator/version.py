"""The version that client and daemon compare: a client that meets another one replaces the daemon."""

VERSION = "0.1.0"
"""The same as in pyproject.toml (a test compares them); reading the package's metadata would cost 20 ms a command."""
