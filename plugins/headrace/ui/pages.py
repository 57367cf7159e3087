"""The inbox's pages (helper PAGES replaces this); api-server."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)


def render_error(request: Request, code: int, message: str) -> HTMLResponse:
    """Return the page that says what went wrong; it may need neither the ledger nor a user."""
    return HTMLResponse(f"<!doctype html><title>{code}</title><p>{escape(message)}</p>", code)
