"""The command line: what runs with the rights of who types it."""
