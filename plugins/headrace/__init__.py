"""Headrace: one Airflow scheduler from landed data to a served model.

Importing this package imports nothing else. Either interpreter may do it.
"""

__version__ = "0.1.0"
