"""TFX components of our own: plain TFX, usable with no orchestrator of ours; TFX interpreter."""
