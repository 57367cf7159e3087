"""What a person finds, recorded as a check's result; orchestration interpreter."""

TOOL = "registry"
ROLLED_BACK, QUARANTINED = "rolled_back", "quarantined_by_hand"
BY_HAND = "(by hand)"
"""Stands for the task of what a person found; no task of Airflow's can have this name."""
