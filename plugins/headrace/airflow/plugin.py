"""The registration with Airflow; found by the shim in ``plugins/`` or by the wheel's entry point, not by both.

Every Airflow process imports this, so it imports nothing heavy: the inbox itself is imported by the api-server, at
the first request (``headrace.ui.mount``).
"""

from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from headrace.airflow import dbt_states, pools
from headrace.ui.mount import InboxApp

# What the browser has before the inbox's addresses: the path of [api] base_url.
_PREFIX = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + "/headrace"


class HeadracePlugin(AirflowPlugin):
    """Headrace in Airflow."""

    name = "headrace"
    listeners = [pools, dbt_states]  # noqa: RUF012 - as Airflow declares it
    fastapi_apps = [{"name": "Headrace", "url_prefix": "/headrace", "app": InboxApp()}]  # noqa: RUF012
    # Airflow encodes the ids that it puts in. On a task that is not mapped `{MAP_INDEX}` stays as it is.
    external_views = [  # noqa: RUF012
        {
            "name": "Data quality",
            "href": f"{_PREFIX}/incidents",
            "destination": "nav",
            "nav_top_level": True,
            "icon": f"{_PREFIX}/static/mark.svg",
            "url_route": "data-quality",
        },
        {
            "name": "Data quality",
            "href": f"{_PREFIX}/dags/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "data-quality-dag",
        },
        {
            "name": "Checks",
            "href": f"{_PREFIX}/runs?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "checks-of-run",
        },
        {
            "name": "Checks",
            "href": f"{_PREFIX}/tasks?dag_id={{DAG_ID}}&run_id={{RUN_ID}}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}",
            "destination": "task_instance",
            "url_route": "checks-of-task",
        },
    ]
