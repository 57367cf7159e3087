"""The inbox's style sheets and scripts, for who is logged in; api-server."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

from headrace.ui.security import Reading

FOLDER = Path(__file__).parent / "static"

router = APIRouter(include_in_schema=False)
_files = StaticFiles(directory=FOLDER, check_dir=False)


@router.get("/static/{path:path}", name="static")
async def serve_static(request: Request, path: str, access: Reading) -> Response:
    """Return a file of ours. Browsers keep it and ask whether it changed, which is cheap."""
    response = await _files.get_response(path, request.scope)
    response.headers["Cache-Control"] = "private, no-cache"
    return response
