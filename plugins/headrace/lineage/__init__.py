"""From dbt's manifest, the suites and the TFX pipelines to one graph of datasets; orchestration interpreter."""
