"""What tells one check from every other, in whatever run it ran; pure; either interpreter."""

import hashlib
import json

from headrace.contracts.check_result import CheckResult


def digest_check(result: CheckResult) -> str:
    """Return the SHA-256, in hex, of the check's dataset, tool, name, column and id.

    Bounds and severity are not in it: a check that has an id of its own (GX, dbt) stays the same when they are edited.
    """
    identity = [result.dataset, result.tool, result.check, result.column, result.check_id]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
