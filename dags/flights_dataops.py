"""From a month's landed files to its published features: land, check, transform, check, publish."""

from datetime import datetime

from airflow.sdk import DAG, Asset, CronPartitionTimetable

from headrace import DbtTransform, LandPartition, PublishPartition, QualityGate

with DAG(
    "flights_dataops",
    description="Landed flights and weather of one month to the features of the flight_delay model",
    schedule=CronPartitionTimetable("0 0 1 * *", timezone="UTC", run_offset=-1, key_format="%Y-%m"),
    start_date=datetime(2013, 1, 1),
    end_date=datetime(2014, 1, 2),
    catchup=False,
    max_active_runs=1,
    tags=["headrace", "dataops"],
    doc_md=__doc__,
):
    (
        LandPartition()
        >> QualityGate("raw_flights", "raw_weather", "raw_planes", "raw_airports", "raw_airlines", task_id="check_raw")
        >> DbtTransform(select="+flight_features")
        >> QualityGate("flight_features", task_id="check_features")
        >> PublishPartition("marts.flight_features", Asset("flight_features"), order_by=["flight_key"])
    )
