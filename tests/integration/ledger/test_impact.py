"""What a partition reaches: models trained on it, those that answer now, runs to do again, incidents."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from ledger_book import NOW, Book, result
from sqlalchemy import insert, update

from headrace.exceptions import UnknownDatasetError
from headrace.ledger import schema
from headrace.ledger.database import Ledger
from headrace.ledger.impact import find_impact, find_models_on, list_runs_of
from headrace.ledger.training import record_training


@dataclass
class Chain:
    """Writes rows of lineage as the chain does, and answers by short names."""

    ledger: Ledger
    versions: dict[str, int] = field(default_factory=dict)
    clock: int = 0

    def version(self, dataset: str, key: str, fingerprint: str) -> int:
        self.clock += 1
        at = NOW + timedelta(minutes=self.clock)
        row = {
            "dataset": dataset, "partition_key": key, "fingerprint": fingerprint, "kind": "model", "first_seen": at,
            "last_seen": at, "detail": {},
        }  # fmt: skip
        with self.ledger.begin() as connection:
            done = connection.execute(insert(schema.data_version).values(row).returning(schema.data_version.c.id))
            return int(done.scalar_one())

    def run(self, job: str, key: str, read: list[int], wrote: list[int], kind: str = "dbt", dag: str = "data") -> None:
        self.clock += 1
        row = {
            "job": job, "kind": kind, "state": "complete", "dag_id": dag, "run_id": f"run{self.clock}",
            "partition_key": key, "detail": {},
        }  # fmt: skip
        with self.ledger.begin() as connection:
            done = connection.execute(insert(schema.lineage_run).values(row).returning(schema.lineage_run.c.id))
            id_ = done.scalar_one()
            for role, versions in ((0, read), (1, wrote)):
                for each in versions:
                    connection.execute(insert(schema.lineage_io).values(run_id=id_, version_id=each, role=role))

    def train(
        self, run_id: str, key: str, version: int | None, *aliases: str, dataset: str = "features", dag: str = "train"
    ) -> int:
        self.clock += 1
        at = NOW + timedelta(minutes=self.clock)
        record_training(
            self.ledger, "delay", dag, run_id, key, trained_on={dataset: [key], "delay.examples": [key]},
            blessed=True, pushed_to="x", now=at,
        )  # fmt: skip
        with self.ledger.begin() as connection:
            (model,) = connection.execute(
                schema.trained_model.select().where(schema.trained_model.c.run_id == run_id)
            ).fetchall()
            if version is not None:
                of = (schema.trained_on.c.model_id == model.id) & (schema.trained_on.c.dataset == dataset)
                connection.execute(update(schema.trained_on).where(of).values(version_id=version, fingerprint="f"))
            number = len(connection.execute(schema.model_version.select()).fetchall()) + 1
            row = {
                "model": "delay", "number": number, "trained_model_id": model.id, "digest": "d", "state": "candidate",
                "code": {}, "signature": {}, "features": ["wind"], "metrics": {}, "verdicts": [], "at": at,
                "pushed_version": "1",
            }  # fmt: skip
            made = connection.execute(insert(schema.model_version).values(row).returning(schema.model_version.c.id))
            id_ = made.scalar_one()
            for alias in aliases:
                of_alias = schema.model_alias.c.alias == alias
                connection.execute(schema.model_alias.delete().where(of_alias))
                named = {"model": "delay", "alias": alias, "model_version_id": id_, "at": at}
                named |= {"actor": "a", "reason": "r"}
                connection.execute(insert(schema.model_alias).values(named))
        return number


@pytest.fixture
def chain(ledger: Ledger) -> Chain:
    """Two months of weather, each of which became features; a model was trained on each."""
    with ledger.begin() as connection:
        for name in ("raw_weather", "stg_weather", "features", "delay.examples"):
            connection.execute(insert(schema.dataset).values(name=name, kind="model", project="p"))
        for up, down in (("raw_weather", "stg_weather"), ("stg_weather", "features"), ("features", "delay.examples")):
            connection.execute(insert(schema.dataset_edge).values(upstream=up, downstream=down, project="p"))
    chain = Chain(ledger)
    for key in ("2013-01", "2013-02"):
        raw, staged, features = (chain.version(name, key, "f") for name in ("raw_weather", "stg_weather", "features"))
        chain.versions |= {f"raw {key}": raw, f"features {key}": features}
        chain.run("land", key, [], [raw], "land")
        chain.run("model.stg_weather", key, [raw], [staged])
        chain.run("model.features", key, [staged], [features])
    return chain


def numbers(found: Any) -> list[int | None]:
    return [hit.number for hit in found.models]


def test_the_models_of_a_partition_and_of_no_other(chain: Chain, ledger: Ledger) -> None:
    one = chain.train("t1", "2013-01", chain.versions["features 2013-01"], "previous")
    two = chain.train("t2", "2013-02", chain.versions["features 2013-02"], "champion")
    found = find_impact(ledger, "raw_weather", "2013-02")
    assert (numbers(found), [hit.name for hit in found.serving]) == ([two], [f"delay@{two}"])
    assert found.datasets == ["stg_weather", "features", "delay.examples"]
    assert (found.models[0].aliases, found.models[0].current) == (("champion",), True)
    assert numbers(find_impact(ledger, "raw_weather", "2013-01")) == [one]
    assert numbers(find_impact(ledger, "raw_weather", "")) == [two, one]
    with pytest.raises(UnknownDatasetError, match="features@2013-03 is known; recorded are 2013-01, 2013-02"):
        find_impact(ledger, "features", "2013-03")


def test_a_model_of_the_content_before_says_so(chain: Chain, ledger: Ledger) -> None:
    old = chain.train("t1", "2013-02", chain.versions["features 2013-02"], "champion")
    raw, features = chain.version("raw_weather", "2013-02", "again"), chain.version("features", "2013-02", "again")
    chain.run("model.features", "2013-02", [raw], [features])
    new = chain.train("t2", "2013-02", features)
    with ledger.begin() as connection:
        of_new = schema.trained_on.c.version_id == features
        connection.execute(update(schema.trained_on).where(of_new).values(fingerprint="again"))
    found = find_impact(ledger, "raw_weather", "2013-02")
    assert [(hit.number, hit.fingerprint, hit.current) for hit in found.models] == [
        (old, "f", False), (new, "again", True),
    ]  # fmt: skip
    assert [row["fingerprint"] for row in found.versions] == ["again", "f"]


def test_what_was_trained_before_lineage_was_recorded_is_found_by_its_place(chain: Chain, ledger: Ledger) -> None:
    number = chain.train("t1", "2013-02", None, "champion")
    found = find_impact(ledger, "raw_weather", "2013-02")
    assert [(hit.number, hit.current) for hit in found.models] == [(number, None)]


def test_a_ring_that_bad_metadata_claims_ends(chain: Chain, ledger: Ledger) -> None:
    chain.run("model.ring", "2013-02", [chain.versions["features 2013-02"]], [chain.versions["raw 2013-02"]])
    number = chain.train("t1", "2013-02", chain.versions["features 2013-02"])
    assert numbers(find_impact(ledger, "features", "2013-02")) == [number]


def test_runs_to_do_again_are_the_newest_for_each_dag_and_partition(chain: Chain, ledger: Ledger) -> None:
    features = chain.versions["features 2013-02"]
    for _ in range(3):
        chain.run(
            "delay.ExampleGen", "2013-02", [features], [chain.version("delay.x", "", f"{chain.clock}")], "tfx", "train"
        )
    found = find_impact(ledger, "raw_weather", "2013-02")
    assert [(run["dag_id"], run["partition_key"]) for run in found.dag_runs] == [
        ("data", "2013-02"),
        ("train", "2013-02"),
    ]
    assert found.dag_runs[1]["run_id"] == f"run{chain.clock}"
    assert list_runs_of(ledger, ["model.features", "delay.ExampleGen"]) == ["data", "train"]


def test_only_what_somebody_may_see(chain: Chain, ledger: Ledger) -> None:
    chain.train("t1", "2013-02", chain.versions["features 2013-02"], "champion")
    chain.train("t2", "2013-02", chain.versions["features 2013-02"], dag="secret")
    Book(ledger).record(result(dataset="stg_weather"))
    seen = find_impact(ledger, "raw_weather", "2013-02", dag_ids=["secret"])
    assert ([hit.dag_id for hit in seen.models], seen.dag_runs, seen.incidents) == (["secret"], [], [])
    every = find_impact(ledger, "raw_weather", "2013-02", dag_ids=["train", "flights"])
    assert [hit.dag_id for hit in every.models] == ["train"]
    assert [row["dataset"] for row in every.incidents] == ["stg_weather"]


def test_models_on_a_dataset_whatever_the_partition(chain: Chain, ledger: Ledger) -> None:
    chain.train("t1", "2013-01", chain.versions["features 2013-01"])
    chain.train("t2", "2013-02", chain.versions["features 2013-02"], "champion")
    assert [(hit.number, hit.features) for hit in find_models_on(ledger, {"features"})] == [
        (2, ("wind",)),
        (1, ("wind",)),
    ]
    assert find_models_on(ledger, {"stg_weather"}) == []


def test_an_unknown_dataset_names_the_nearest(chain: Chain, ledger: Ledger) -> None:
    with pytest.raises(UnknownDatasetError, match="did you mean raw_weather"):
        find_impact(ledger, "raw_wether", "2013-02")
