"""Exercises the pure parts of the Parquet reader and prints what they decide; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json
import sys

sys.path.insert(0, sys.argv[1])
import numpy as np
import pyarrow as pa

from components.arrow_examples import to_days
from components.partition_window import choose_partitions
from components.time_split import TimeSplit, split_by_hash


def complaint(function, *arguments):
    try:
        return f"no complaint: {function(*arguments)}"
    except ValueError as error:
        return str(error)


days = np.arange(0, 31)
masks = TimeSplit(last_day=30, eval_days=7, gap_days=1).masks(days)
shares = [split_by_hash(str(row).encode(), 20) for row in range(5000)]
keys = ["2013-03", "2013-01", "2012-12", "2013-02"]
print(
    json.dumps(
        {
            "train": days[masks["train"]].tolist(),
            "eval": days[masks["eval"]].tolist(),
            "eval_share": shares.count("eval") / len(shares),
            "same_again": shares == [split_by_hash(str(row).encode(), 20) for row in range(5000)],
            "no_eval_days": complaint(TimeSplit, 30, 0, 1),
            "null_time": complaint(to_days, "flight_date", pa.array([None], pa.date32())),
            "text_time": complaint(to_days, "flight_date", pa.array(["2013-01-01"])),
            "timestamp": to_days("t", pa.array([-1, 86_399, 86_400], pa.timestamp("s"))).tolist(),
            "window": choose_partitions(keys, "2013-02", 2),
            "short_window": choose_partitions(keys, "2013-01", 12),
            "newest": choose_partitions(keys, None, 1),
            "missing": complaint(choose_partitions, keys, "2013-04", 2),
            "climbing": complaint(choose_partitions, keys, "../../etc", 2),
            "hidden": complaint(choose_partitions, keys, ".2013-04", 2),
            "empty": complaint(choose_partitions, [], "2013-04", 2),
            "no_window": complaint(choose_partitions, keys, "2013-01", 0),
        }
    )
)
