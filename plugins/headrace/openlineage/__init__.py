"""What the ledger recorded of a run, in the words of OpenLineage; no Airflow; orchestration interpreter."""
