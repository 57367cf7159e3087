"""Where the inbox's parts lie under the address that Airflow has; api-server."""

from fastapi import Request

PREFIX = "/headrace"
API_PREFIX = "/api/v1"


def is_api(request: Request) -> bool:
    """Return whether a machine asks, and not somebody who looks at a page."""
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
    return path.startswith("/api/")
