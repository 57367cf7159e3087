"""What is answered when something goes wrong: plain words as JSON or as a page, never a trace; api-server."""

import logging
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from airflow.api_fastapi.app import API_ROOT_PATH
from fastapi import FastAPI, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from headrace.exceptions import (
    ConfigurationError,
    HeadraceError,
    InvalidActionError,
    InvalidCursorError,
    LedgerError,
    PromotionRefusedError,
    UnknownDatasetError,
    UnknownIncidentError,
    UnknownModelError,
    UnknownQuarantineError,
    UnknownVersionError,
)
from headrace.ui.dependencies import doubt_ledger
from headrace.ui.paths import is_api

log = logging.getLogger(__name__)


STATUS_BY_ERROR: Mapping[type[HeadraceError], int] = {
    UnknownIncidentError: status.HTTP_404_NOT_FOUND,
    UnknownQuarantineError: status.HTTP_404_NOT_FOUND,
    UnknownDatasetError: status.HTTP_404_NOT_FOUND,
    UnknownModelError: status.HTTP_404_NOT_FOUND,
    UnknownVersionError: status.HTTP_404_NOT_FOUND,
    InvalidActionError: status.HTTP_409_CONFLICT,
    PromotionRefusedError: status.HTTP_409_CONFLICT,
    InvalidCursorError: status.HTTP_422_UNPROCESSABLE_CONTENT,
    LedgerError: status.HTTP_503_SERVICE_UNAVAILABLE,
    ConfigurationError: status.HTTP_503_SERVICE_UNAVAILABLE,
}


def add_error_handlers(app: FastAPI) -> None:
    """Map every error to an answer."""
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HeadraceError, _answer_ours)
    app.add_exception_handler(SQLAlchemyError, _answer_database)
    app.add_exception_handler(Exception, _answer_fault)


def find_status(error: HeadraceError) -> int:
    """Return the HTTP status that says what kind of error it is; 500 for one that nobody foresaw."""
    return next(
        (code for cls, code in STATUS_BY_ERROR.items() if isinstance(error, cls)), status.HTTP_500_INTERNAL_SERVER_ERROR
    )


def _answer(request: Request, code: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    if is_api(request):
        return JSONResponse({"detail": detail}, code, headers)
    from headrace.ui.pages import render_error

    response: Response = render_error(request, code, detail)
    response.headers.update(headers or {})
    return response


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == status.HTTP_401_UNAUTHORIZED and not is_api(request):
        return RedirectResponse(build_login_url(request), status.HTTP_303_SEE_OTHER)
    return _answer(request, error.status_code, str(error.detail), dict(error.headers or {}))


def build_login_url(request: Request) -> str:
    """Return where to log in, to come back to what was asked for."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"{API_ROOT_PATH}api/v2/auth/login?next={quote(back, safe='')}"


def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not sent back, and an error's context may hold what is no JSON.
    errors = [{"field": _name_field(found["loc"]), "message": found["msg"]} for found in error.errors()]
    detail = "; ".join(f"{found['field']}: {found['message']}" for found in errors)
    code = status.HTTP_422_UNPROCESSABLE_CONTENT
    if is_api(request):
        return JSONResponse({"detail": detail, "errors": errors}, code)
    return _answer(request, code, detail)


def _name_field(place: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in place[1:]) or str(place[0])


def _answer_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, HeadraceError)
    code = find_status(error)
    if code != status.HTTP_503_SERVICE_UNAVAILABLE:
        return _answer(request, code, str(error))
    log.warning("The ledger cannot be used: %s", error)
    doubt_ledger()  # it may have been moved or migrated
    return _answer(request, code, str(error), {"Retry-After": "5"})


def _answer_database(request: Request, error: Exception) -> Response:
    log.error("The ledger's database failed", exc_info=error)
    doubt_ledger()
    detail = (
        "A database cannot answer now, the ledger's or Airflow's own. Try again; if it stays so, 'headrace doctor' and "
        "the api-server's log say what is wrong."
    )
    return _answer(request, status.HTTP_503_SERVICE_UNAVAILABLE, detail, {"Retry-After": "5"})


def _answer_fault(request: Request, error: Exception) -> Response:
    # Starlette raises the error again after the answer, so that the server logs it with its trace.
    detail = "The inbox failed at this request, which is a fault of Headrace: the api-server's log holds the error."
    return _answer(request, status.HTTP_500_INTERNAL_SERVER_ERROR, detail)
