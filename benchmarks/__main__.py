"""``python -m benchmarks``: run them all, or one."""

import argparse
import sys
import traceback

from benchmarks import (
    dag_parse,
    dbt_build,
    demo,
    growth,
    gx_pushdown,
    impact,
    ledger,
    node_start,
    pipeline_cost,
    scheduler,
    serving,
    tfx_chain,
)

BENCHMARKS = {
    "parse": dag_parse.run,
    "start": node_start.run,
    "tfx": tfx_chain.run,
    "pipeline": pipeline_cost.run,
    "dbt": dbt_build.run,
    "demo": demo.run,
    "ledger": ledger.run,
    "gx": gx_pushdown.run,
    "impact": impact.run,
    "serving": serving.run,
    "scheduler": scheduler.run,
    "growth": growth.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side measurements.")
    parser.add_argument(
        "--only",
        choices=sorted(BENCHMARKS),
        help="parse, start, impact: a minute; growth: half an hour; the others: ten minutes",
    )
    only = parser.parse_args().only
    failed = []
    for name, run in BENCHMARKS.items():
        if only in (None, name):
            print(f"== {name}", flush=True)
            try:
                run()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the others are run all the same
                failed.append(name)
                traceback.print_exc()
                print(f"  {name} failed: {getattr(error, 'stderr', None) or error}", file=sys.stderr, flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
