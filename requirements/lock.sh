#!/bin/sh
# Write every lock anew. Usage: requirements/lock.sh UV [--upgrade]
# No index address is written: the locks install from whatever index the machine is set up for.
set -eu
cd "$(dirname "$0")/.."
uv=$1; shift
export UV_CUSTOM_COMPILE_COMMAND="make lock"
lock() { out=$1; shift; echo "$out"; "$uv" pip compile --quiet --generate-hashes --no-emit-index-url --output-file "$out" "$@"; }
lock requirements/airflow.txt --universal --python-version 3.11 --extra demo --group build pyproject.toml "$@"
lock requirements/dev.txt --universal --python-version 3.11 --extra demo --group build --group dev -c requirements/airflow.txt pyproject.toml "$@"
lock requirements/google.txt --universal --python-version 3.11 --extra demo --extra google --group build pyproject.toml "$@"
lock requirements/tfx.txt --python-version 3.10 --python-platform linux --excludes requirements/tfx-excludes.txt tfx_pipelines/pyproject.toml "$@"
