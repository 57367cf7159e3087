"""How long to wait before a delivery is tried again; pure."""

from datetime import timedelta

FIRST_SECONDS = 5
LONGEST_SECONDS = 3600
MOST_ATTEMPTS = 90
"""About 72 hours: ten tries in the first hour and a half, then one an hour."""


def decide_backoff(attempts: int, chance: float) -> timedelta | None:
    """Decide when to try again after a failure.

    Args:
        attempts: Tries so far, at least one.
        chance: A random number in [0, 1), so that many that failed at once do not come back at once.

    Returns:
        From 80 to 100 % of 5 s, doubled for each try, at most an hour; None where it is given up.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    # Bounded before it is raised: 2 to the 90th is no time span.
    seconds = min(FIRST_SECONDS * 2 ** min(attempts - 1, 20), LONGEST_SECONDS)
    return timedelta(seconds=seconds * (0.8 + 0.2 * chance))
