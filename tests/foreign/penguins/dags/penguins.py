"""Somebody else's chain, on the same blocks: their landed files, dbt project, suites and TFX pipeline."""

from pathlib import Path

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, PartitionedAtRuntime

from headrace import DbtTransform, LandPartition, PublishPartition, QualityGate, TfxPipeline

PROJECT = Path(__file__).resolve().parents[1]
PENGUIN_FEATURES = Asset("penguin_features")

with DAG("penguins_dataops", schedule=PartitionedAtRuntime(), max_active_runs=1):
    (
        LandPartition(project_dir=PROJECT)
        >> QualityGate("birds", project_dir=PROJECT)
        >> DbtTransform(project_dir=PROJECT)
        >> QualityGate("penguin_features", project_dir=PROJECT)
        >> PublishPartition("main.penguin_features", PENGUIN_FEATURES, project_dir=PROJECT)
    )

with DAG("penguin_training", schedule=PartitionedAssetTimetable(assets=PENGUIN_FEATURES), max_active_runs=1):
    TfxPipeline("penguin", project_dir=PROJECT)
