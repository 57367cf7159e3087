"""Why the ledger cannot be read or written, in plain words and without a password; orchestration interpreter."""

from sqlalchemy import URL, exc

from headrace.contracts.json_safe import hide_secrets

_SQLITE = {
    "database is locked": "another process has been writing to it for too long. Try again; if it stays so, find that "
    "process with 'fuser'.",
    "readonly": "it may only be read by this user. Check the owner of the file and of its folder.",
    "unable to open": "it cannot be opened. Check that its folder exists and who owns it.",
    "malformed": "the file is damaged. Put back a copy of it, or move it away to begin a new one.",
    "not a database": "the file is not a SQLite database. Move it away, or name another in the settings.",
    "disk is full": "the disk is full. Make room and try again.",
    "disk I/O error": "the disk failed to read or write it. Look at the system's log.",
}


def describe_place(address: URL) -> str:
    """Say which database it is, for example ``The ledger (SQLite file /x/ledger.sqlite)``."""
    if address.get_backend_name() == "sqlite":
        return f"The ledger (SQLite file {address.database})"
    if address.get_backend_name() != "postgresql":
        return f"a database of {address.get_backend_name()}"
    host = address.host or address.query.get("host") or "this machine"
    port = f":{address.port}" if address.port else ""
    return f"The ledger (Postgres database {address.database} at {host}{port})"


def describe_failure(error: Exception, place: str, doing: str, address: URL) -> str:
    """Say what went wrong, where and what to do; a driver's own words only where we have none, without secrets."""
    reason = str(getattr(error, "orig", None) or error).strip()
    for words, plain in _SQLITE.items():
        if address.get_backend_name() == "sqlite" and words in reason:
            return f"{place} cannot be {_PAST[doing]}: {plain}"
    if isinstance(error, exc.TimeoutError):
        reason = "every connection of this process is in use. Try again."
    for secret in (address.password, address.query.get("password")):
        if isinstance(secret, str) and secret:
            reason = reason.replace(secret, "***")
    first = hide_secrets(" ".join(reason.split()))[:500]
    if isinstance(error, exc.OperationalError) and "onnect" in first:
        return (
            f"{place} cannot be reached: {first}. Check that it runs, and the connection in [headrace] ledger_conn_id."
        )
    if "lock timeout" in first or "LockNotAvailable" in type(getattr(error, "orig", None)).__name__:
        return f"{place} cannot be {_PAST[doing]}: another process has been writing to it for too long. Try again."
    return f"{place} cannot be {_PAST[doing]}: {first}"


_PAST = {"read": "read", "write": "written"}
