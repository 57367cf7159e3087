"""Compiles TFX pipelines, runs their nodes and says what came of it; TFX interpreter only."""
