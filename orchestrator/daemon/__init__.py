"""The daemon: what keeps projects as declared, and answers the command line."""
