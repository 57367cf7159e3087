"""Prints one feature of every example of both splits; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json
import sys
from pathlib import Path

import tensorflow as tf

uri, feature = sys.argv[1:]
found = {}
for split in ("train", "eval"):
    files = sorted(str(file) for file in Path(uri, f"Split-{split}").iterdir())
    examples = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    found[split] = [
        tf.train.Example.FromString(example).features.feature[feature].int64_list.value[0] for example in examples
    ]
print(json.dumps(found))
