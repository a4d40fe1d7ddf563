"""What containers write: read again, and sent on."""
