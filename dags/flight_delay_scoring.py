"""Predictions for each new month, by the model that is the champion when the month is published."""

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable

from headrace import ScorePartition

FEATURES = Asset("flight_features")

with DAG(
    "flight_delay_scoring",
    description="Score the new month with the champion, into predictions.flight_delay",
    schedule=PartitionedAssetTimetable(assets=FEATURES),
    catchup=False,
    max_active_runs=1,
    tags=["headrace", "mlops"],
    doc_md=__doc__,
):
    ScorePartition("flight_delay", FEATURES, key_columns=["flight_key"])
