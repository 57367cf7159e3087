"""Runs this pipeline under TFX's LocalDagRunner, with no orchestrator of ours; TFX interpreter.

    TF_USE_LEGACY_KERAS=1 PYTHONPATH=tfx_pipelines python -m flight_delay.local_run \
        --data-root features --partition-key 2013-01 --output-dir /tmp/flight_delay
"""

import argparse
import gc
import os


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder that holds flight_features/<partition key>.parquet")
    parser.add_argument("--output-dir", required=True, help="folder for artifacts, metadata and the pushed model")
    parser.add_argument("--partition-key", required=True, help="newest month of the window: 2013-01")
    parser.add_argument("--window", type=int, default=12, help="months to train on, at most")
    parser.add_argument("--train-steps", type=int, default=300, help="batches of 512 rows")
    options = parser.parse_args()
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    # A million objects that live as long as the process: looking for garbage among them takes a second.
    gc.disable()
    # After the environment is set: tensorflow reads it when it is imported.
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from flight_delay.pipeline import create_pipeline

    gc.freeze()
    gc.enable()
    LocalDagRunner().run(
        create_pipeline(
            pipeline_name="flight_delay",
            pipeline_root=os.path.join(options.output_dir, "artifacts"),
            data_root=options.data_root,
            serving_model_dir=os.path.join(options.output_dir, "serving"),
            metadata_path=os.path.join(options.output_dir, "metadata.sqlite"),
            partition_key=options.partition_key,
            window=options.window,
            train_steps=options.train_steps,
        )
    )


if __name__ == "__main__":
    main()
