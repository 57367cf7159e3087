"""The ledger as the command line opens it; imports no airflow."""

from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger_connection import resolve_ledger_url
from headrace.settings import Settings


def open_project_ledger(settings: Settings) -> Ledger:
    """Open the ledger of a project; never make one.

    Raises:
        LedgerError: It cannot be opened, or is a file that is not there.
        ConfigurationError: Its connection is not set up.
    """
    return open_ledger(resolve_ledger_url(settings), create=False)
