"""The registration with Airflow; found by the shim in ``plugins/`` or by the wheel's entry point, not by both."""

from airflow.plugins_manager import AirflowPlugin

from headrace.airflow import pools


class HeadracePlugin(AirflowPlugin):
    """Headrace in Airflow."""

    name = "headrace"
    listeners = [pools]  # noqa: RUF012 - as Airflow declares it
