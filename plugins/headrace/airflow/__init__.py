"""Everything that runs inside Airflow: operators, task groups, the plugin. The only users of ``airflow.sdk``."""
