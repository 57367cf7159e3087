"""From each new month of features to the model that answers, one task a TFX node; started by a published month."""

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable

from headrace import Promote, TfxPipeline

with DAG(
    "flight_delay_training",
    description="Train, evaluate, push and promote the flight_delay model on the window that ends with the new month",
    schedule=PartitionedAssetTimetable(assets=Asset("flight_features")),
    catchup=False,
    max_active_runs=1,
    tags=["headrace", "mlops"],
    doc_md=__doc__,
):
    TfxPipeline("flight_delay") >> Promote("flight_delay")
