"""The words of the seam: what the engine is asked to make (configs, of parts), and what it says there is (infos)."""
