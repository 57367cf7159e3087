"""Refuses actions that another site makes a logged-in browser ask for; api-server.

The token is signed with Airflow's ``[api] secret_key``, which every worker of the api-server has: none keeps a state.
"""

import hashlib
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.tokens import get_signing_key
from airflow.configuration import conf
from fastapi import HTTPException, Request, status
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner

HEADER = "X-Headrace-CSRF"
MAX_AGE = 24 * 3600
"""Seconds for which a page may be left open before it is used."""


def sign_user(user_id: str) -> str:
    """Return the token of a user: a digest of the id, the time, and the HMAC-SHA256 of both."""
    return _signer().sign(_digest(user_id)).decode()


def require_no_forgery(request: Request, user_id: str) -> None:
    """Answer 415 for a body that is not JSON, and 403 where it may not be the user who asks.

    A client that brings a Bearer token, and is no browser, needs no CSRF token: nobody adds that header for it. In
    a browser the header alone says nothing: where everybody is admin, Airflow itself adds it to every request.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "Send JSON, with Content-Type: application/json.")
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in (None, "same-origin") or (origin is not None and not _is_own(origin, request)):
        raise _forbidden(
            "The request comes from another site. If it does not, set base_url in airflow.cfg's [api] section to the "
            "address that the browser shows."
        )
    bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
    if bearer and site is None and origin is None:
        return
    try:
        signed = _signer().unsign(request.headers.get(HEADER, "").encode(), max_age=MAX_AGE)
    except SignatureExpired:
        raise _forbidden("This page has been open for more than a day: reload it and try again.") from None
    except BadSignature:
        raise _forbidden(f"The header {HEADER} is missing or wrong: reload the page and try again.") from None
    if signed != _digest(user_id):
        raise _forbidden("Somebody else has logged in since this page was opened: reload it and try again.")


def _is_own(origin: str, request: Request) -> bool:
    found = urlsplit(origin)
    configured = urlsplit(conf.get("api", "base_url", fallback="") or "")
    if configured.netloc and (found.scheme, found.netloc) == (configured.scheme, configured.netloc):
        return True
    return found.scheme in ("http", "https") and found.netloc == request.headers.get("host")


def _digest(user_id: str) -> bytes:
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest().encode()


def _signer() -> TimestampSigner:
    key = get_signing_key("api", "secret_key")
    return TimestampSigner(key, salt="headrace.csrf", key_derivation="hmac", digest_method=hashlib.sha256)


def _forbidden(detail: str) -> HTTPException:
    return HTTPException(status.HTTP_403_FORBIDDEN, detail)
