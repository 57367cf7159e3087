"""The command line, ``headrace …``; orchestration interpreter. It talks to Airflow over its REST API."""
