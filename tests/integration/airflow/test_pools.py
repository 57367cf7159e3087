"""The slots with which pools are made."""

import pytest

from headrace.airflow.base import TFX_POOL, WAREHOUSE_POOL
from headrace.airflow.pools import build_pools


def test_as_many_tfx_nodes_run_as_may_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_pools()[TFX_POOL][0] >= 1
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_NODES_AT_ONCE", "3")
    assert build_pools()[TFX_POOL][0] == 3
    assert build_pools()[WAREHOUSE_POOL][0] == 1
