"""dbt's artifacts in, check results out; orchestration interpreter. Imports no dbt: the artifacts are JSON."""
