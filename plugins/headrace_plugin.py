"""Registers Headrace from the plugins folder, unless an installed Headrace registers by its entry point.

Airflow refuses a plugin name that is registered twice.
"""

from importlib.metadata import entry_points

if not any(entry.name == "headrace" for entry in entry_points(group="airflow.plugins")):
    from headrace.airflow.plugin import HeadracePlugin  # noqa: F401
