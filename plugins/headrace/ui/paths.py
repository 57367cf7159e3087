"""Where the inbox's parts lie under the address that Airflow has; api-server."""

from fastapi import Request
from starlette.routing import get_route_path

PREFIX = "/headrace"
API_PREFIX = "/api/v1"


def is_api(request: Request) -> bool:
    """Return whether a machine asks, and not somebody who looks at a page."""
    return get_route_path(request.scope).startswith("/api/")
