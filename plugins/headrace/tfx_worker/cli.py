"""The worker's command line: standard library only, so that ``--help`` is instant; TFX interpreter."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.contracts.files import ContractError
from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.environment import prepare_environment
from headrace.tfx_worker.errors import WorkerStop

_EPILOG = "exit codes:\n" + "\n".join(f"  {code.value:>2}  {code.name}" for code in WorkerExit)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors that a user can mend are one message, with no traceback."""
    options = build_parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    prepare_environment()
    try:
        return int(options.run(options))
    except WorkerStop as stop:
        print(f"headrace: {stop}", file=sys.stderr)
        return int(stop.exit_code)
    except ContractError as error:
        print(f"headrace: {error}", file=sys.stderr)
        return int(WorkerExit.BAD_REQUEST)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m headrace.tfx_worker",
        description="Compiles TFX pipelines and runs their nodes, in the interpreter that has TFX.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_compile(commands)
    _add_node(commands)
    _add_score(commands)
    _add_predict(commands)
    _add_runtime(commands)
    _add_serve(commands)
    return parser


def _add_compile(commands: Any) -> None:
    command = commands.add_parser(
        "compile",
        help="write a pipeline's IR and its nodes",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--pipelines-dir", type=Path, required=True, help="folder of pipelines; goes onto sys.path")
    command.add_argument("--pipeline", required=True, help="name of the pipeline's folder in it")
    command.add_argument("--out", type=Path, required=True, help="folder for pipeline.pbtxt and nodes.json")
    command.add_argument(
        "--state-dir", type=Path, required=True, help="folder for artifacts, ML Metadata and pushed models"
    )
    command.add_argument("--data-root", type=Path, help="folder of published features (default: STATE_DIR/features)")
    command.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of create_pipeline, as JSON or text; repeat it; wins over headrace.json",
    )
    command.set_defaults(run=_compile)


def _add_node(commands: Any) -> None:
    command = commands.add_parser(
        "node",
        help="run one node of a compiled pipeline",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--job", type=Path, required=True, help="folder of request.json, and of outcome.json")
    command.set_defaults(run=_node)


def _add_score(commands: Any) -> None:
    command = commands.add_parser(
        "score",
        help="ask a pushed model about rows of a Parquet file",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--model", type=Path, required=True, help="folder of the SavedModel")
    command.add_argument("--data", type=Path, required=True, help="Parquet file with the model's raw columns")
    command.add_argument("--rows", type=int, default=5, help="how many rows, spread over the file (default: 5)")
    command.add_argument("--signature", default="serving_columns", help="signature that takes one tensor a column")
    command.add_argument("--label", help="column that holds what really happened, to be shown beside the answer")
    command.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    command.set_defaults(run=_score)


def _add_predict(commands: Any) -> None:
    command = commands.add_parser("predict", help="score a whole Parquet file, for a table of predictions")
    command.add_argument(
        "--job", type=Path, required=True, help="folder of score_request.json, and of what comes of it"
    )
    command.set_defaults(run=_predict)


def _add_runtime(commands: Any) -> None:
    command = commands.add_parser("runtime", help="import TFX once, and run nodes in forks of this process")
    command.add_argument("--folder", type=Path, required=True, help="folder of its socket and lock, mode 0700")
    command.add_argument("--key", required=True, help="what its files are called")
    command.add_argument("--fingerprint", required=True, help="of the code and packages that it loads")
    command.set_defaults(run=_runtime)


def _add_serve(commands: Any) -> None:
    command = commands.add_parser("serve", help="answer for the models that are deployed; see 'headrace serve --help'")
    command.add_argument("--serving-dir", type=Path, required=True, help="folder that the registry deploys to")
    command.add_argument("--log-dir", type=Path, required=True, help="folder of the prediction log")
    command.add_argument("--log-share", type=float, default=0.0, help="share of the requests that are logged")
    command.add_argument("--ignore-extra", action="store_true", help="fields that a model does not know are no error")
    command.add_argument("--host", default="127.0.0.1", help="address to bind")
    command.add_argument("--port", type=int, default=8501, help="0: any free one")
    command.add_argument("--advertise", help="host under which deployments reach this server")
    command.add_argument("models", nargs="*", help="names; none: every model that is deployed")
    command.set_defaults(run=_serve)


def _compile(options: argparse.Namespace) -> int:
    from headrace.tfx_worker.compile_pipeline import compile_pipeline

    compiled = compile_pipeline(
        pipelines_dir=options.pipelines_dir.resolve(),
        name=options.pipeline,
        out=options.out.resolve(),
        state_dir=options.state_dir.resolve(),
        data_root=(options.data_root or options.state_dir / "features").resolve(),
        given=dict(_parse_argument(text) for text in options.arg),
    )
    print(f"compiled {compiled.name}: {', '.join(node.id for node in compiled.nodes)}")
    return WorkerExit.OK


def _parse_argument(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise WorkerStop(f"--arg {text!r} is not NAME=VALUE", WorkerExit.USAGE)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _node(options: argparse.Namespace) -> int:
    from headrace.tfx_worker.run_node import run_node

    return run_node(options.job.resolve())


def _score(options: argparse.Namespace) -> int:
    from headrace.tfx_worker.score import print_scores

    print_scores(options.model, options.data, options.rows, options.signature, options.label, options.json)
    return WorkerExit.OK


def _predict(options: argparse.Namespace) -> int:
    from headrace.tfx_worker.predict import predict

    return predict(options.job.resolve())


def _runtime(options: argparse.Namespace) -> int:
    from headrace.tfx_worker.runtime.serve import run

    return run(options.folder, options.key, options.fingerprint)


def _serve(options: argparse.Namespace) -> int:
    from headrace.tfx_worker.serving.run import serve

    return serve(
        options.serving_dir.resolve(),
        tuple(options.models),
        options.host,
        options.port,
        log_folder=options.log_dir.resolve(),
        log_share=options.log_share,
        ignore_extra=options.ignore_extra,
        advertise=options.advertise,
    )
