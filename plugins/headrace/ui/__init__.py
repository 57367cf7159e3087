"""The inbox inside Airflow's api-server: pages and REST; nothing is imported here, see ``mount``."""
