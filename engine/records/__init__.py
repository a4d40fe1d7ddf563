"""What is written down, and what of it is believed when it is read again."""
