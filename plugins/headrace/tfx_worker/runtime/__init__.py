"""The warm runtime: one process that has imported TFX and run nothing, and forks one for each node; TFX interpreter."""
