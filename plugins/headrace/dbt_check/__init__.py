"""What changed in the dbt project, built and checked on a sample in seconds; no Airflow; orchestration interpreter."""
