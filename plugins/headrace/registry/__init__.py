"""Model versions: kept whole, deployed under their aliases, and rolled back; orchestration interpreter."""
