"""The one place where Headrace's errors become Airflow's; orchestration interpreter."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from headrace.exceptions import HeadraceError


@contextmanager
def as_airflow_errors() -> Iterator[None]:
    """Turn a Headrace error into one that Airflow retries, or into one that it does not."""
    try:
        yield
    except HeadraceError as error:
        kind = AirflowException if error.retryable else AirflowFailException
        raise kind(error.message) from error
