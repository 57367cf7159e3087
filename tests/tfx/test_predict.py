"""``predict``: a whole Parquet file through a saved model, by columns or as serialized examples."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import WarmWorker

from headrace.contracts.files import ContractError
from headrace.contracts.scoring import PREDICTIONS_FILE, ScoreOutcome, ScoreRequest
from headrace.settings import load_settings

ROOT = Path(__file__).parents[2]
ROWS = "select range as id, range::double as x, 'w' || range as word, date '2013-01-01' as day from range(10000)"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    command = [
        str(load_settings(ROOT).tfx_python),
        str(ROOT / "tests/tfx/scripts/save_small_model.py"),
        str(folder),
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"})
    assert done.returncode == 0, done.stderr
    return folder


def predict(warm: WarmWorker, models: Path, folder: Path, query: str = ROWS, **more: Any) -> tuple[int, str]:
    data = folder / "2013-01.parquet"
    if not data.exists():
        duckdb.sql(f"copy ({query}) to '{data}' (format parquet)")
    given = {"model_dir": str(models / "2"), "data": str(data), "key_columns": ("id",), **more}
    ScoreRequest(model="m", number=3, digest="d", **given).write(folder)
    code, said = warm.run(["predict", "--job", str(folder)])
    return code, said


def read(folder: Path, query: str) -> list[tuple[Any, ...]]:
    return duckdb.sql(query.replace("$it", f"'{folder / PREDICTIONS_FILE}'")).fetchall()


def test_every_row_is_answered_by_the_signature_of_columns(warm: WarmWorker, models: Path, tmp_path: Path) -> None:
    code, said = predict(warm, models, tmp_path)
    assert code == 0, said
    assert "m@3 by its signature serving_columns" in said
    outcome = ScoreOutcome.load(tmp_path)
    assert (outcome.rows, outcome.outputs) == (10_000, {"said": "string", "y": "float"})
    assert outcome.sha256 == hashlib.sha256((tmp_path / "2013-01.parquet").read_bytes()).hexdigest()
    wrong = "select count(*), count(*) filter (where y = 2 * id and said = 'w' || id) from $it"
    assert read(tmp_path, wrong) == [(10_000, 10_000)]
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_serialized_examples_are_made_of_rows_and_what_is_missing_stays_so(
    warm: WarmWorker, models: Path, tmp_path: Path
) -> None:
    query = "select range as id, case when range < 2 then null else range::double end as x, true as f from range(4)"
    code, said = predict(warm, models, tmp_path, query, signature="serving_default")
    assert code == 0, said
    assert read(tmp_path, "select id, y from $it order by id") == [(0, -2.0), (1, -2.0), (2, 4.0), (3, 6.0)]


def test_a_missing_value_is_nan_or_the_empty_text(warm: WarmWorker, models: Path, tmp_path: Path) -> None:
    code, said = predict(warm, models, tmp_path, "select 1 as id, null::double as x, null::varchar as word")
    assert code == 0, said
    assert read(tmp_path, "select isnan(y), said from $it") == [(True, "")]


@pytest.mark.parametrize(
    ("query", "more", "told"),
    [
        ("select 1 as id, 1.0 as x", {}, "lacks word"),
        ("select 1 as id, 1.0 as x, 'w' as word", {"key_columns": ("flight",)}, "lacks flight"),
        ("select 1 as id, 'one' as x, 'w' as word", {}, "column x is string, and the model reads DT_FLOAT"),
        ("select 1 as id, 1.0 as x, 'w' as word", {"signature": "other"}, "has no signature other"),
        ("select 1 as y, 1.0 as x, 'w' as word", {"key_columns": ("y",)}, "output y of serving_columns has the name"),
        ("select 1 as id, 1.0 as x, 'w' as word", {"model_dir": "/nowhere"}, "/nowhere cannot be loaded"),
        ("select 1 as id, 1.0 as x, 'w' as word limit 0", {}, "has no rows"),
        ("select null::int as id, true as flag, [1.0, 2.0] as pair", {"signature": "typed"}, "missing values"),
    ],
)
def test_what_does_not_fit_is_one_message_and_leaves_nothing(
    warm: WarmWorker, models: Path, tmp_path: Path, query: str, more: dict[str, Any], told: str
) -> None:
    code, said = predict(warm, models, tmp_path, query, **more)
    assert (code, told in said.strip().splitlines()[-1]) == (12, True), said
    assert not (tmp_path / PREDICTIONS_FILE).exists()
    with pytest.raises(ContractError):
        ScoreOutcome.load(tmp_path)
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_what_is_no_table_is_one_message(warm: WarmWorker, models: Path, tmp_path: Path) -> None:
    (tmp_path / "2013-01.parquet").write_bytes(b"no table")
    code, said = predict(warm, models, tmp_path)
    assert (code, "is not a Parquet file" in said) == (12, True), said
