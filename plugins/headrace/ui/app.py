"""The inbox as one FastAPI app: pages for people, REST for machines; api-server."""

from fastapi import FastAPI

from headrace.ui.api_actions import router as acting
from headrace.ui.api_lineage import router as lineage
from headrace.ui.api_models import router as models
from headrace.ui.api_read import router as reading
from headrace.ui.errors import add_error_handlers
from headrace.ui.headers import SecurityHeaders
from headrace.ui.pages import router as pages
from headrace.ui.paths import API_PREFIX
from headrace.ui.static_files import router as static_files


def build_app() -> FastAPI:
    """Return the app that Airflow serves under ``/headrace``.

    The OpenAPI document is a route of its own, for who is logged in; there are no public ``/docs``.
    """
    app = FastAPI(title="Headrace", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    add_error_handlers(app)
    app.include_router(reading, prefix=API_PREFIX)
    app.include_router(acting, prefix=API_PREFIX)
    app.include_router(models, prefix=API_PREFIX)
    app.include_router(lineage, prefix=API_PREFIX)
    app.include_router(static_files)
    app.include_router(pages)
    return app


def build_guarded_app() -> SecurityHeaders:
    """Return the app with the headers on every answer, also where it fails."""
    return SecurityHeaders(build_app())
