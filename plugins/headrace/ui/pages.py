"""The inbox's pages, as one router; api-server."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from headrace.ui import pages_airflow, pages_incident, pages_incidents, pages_lineage, pages_models, pages_quarantine
from headrace.ui.pages_links import Links
from headrace.ui.pages_render import render_error
from headrace.ui.security import Reading

__all__ = ["render_error", "router"]

router = APIRouter(include_in_schema=False)
router.include_router(pages_incidents.router)
router.include_router(pages_incident.router)
router.include_router(pages_quarantine.router)
router.include_router(pages_models.router)
router.include_router(pages_lineage.router)
router.include_router(pages_airflow.router)


@router.get("/")
def show_inbox(request: Request, access: Reading) -> RedirectResponse:
    """Lead to the list."""
    return RedirectResponse(Links(request).incidents())
