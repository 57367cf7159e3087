"""The embedded warehouse, one DuckDB file: landing into it, publishing from it; orchestration interpreter."""
