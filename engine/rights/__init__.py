"""What a container may do."""
