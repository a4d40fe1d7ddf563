"""Files and folders between a container and whoever asks: as a tar stream, from one tree to another."""
