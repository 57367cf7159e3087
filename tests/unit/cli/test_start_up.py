"""The command line starts at once: a command imports what it needs, and no other's."""

import json
import subprocess
import sys

import pytest

HEAVY = {"sqlalchemy", "httpx", "duckdb", "yaml", "airflow", "great_expectations"}
RUN = """
import json, sys
from headrace.cli.app import main
sys.argv = ["headrace", *{arguments!r}]
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted({heavy!r} & sys.modules.keys())]))
"""


def run(*arguments: str) -> tuple[str, int, list[str]]:
    code = RUN.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, last = done.stdout.strip().splitlines()
    return "\n".join(said), *json.loads(last)


@pytest.mark.parametrize("arguments", [["version"], ["--help"]])
def test_what_needs_no_ledger_does_not_import_it(arguments: list[str]) -> None:
    _, code, imported = run(*arguments)
    assert (code, imported) == (0, [])


def test_help_names_the_groups_that_are_not_imported_yet() -> None:
    said, _, _ = run("--help")
    for group in ("incidents", "notifications", "quarantine", "runtime", "doctor"):
        assert group in said
    assert "What is wrong with the data" in said


def test_a_group_is_imported_when_it_is_called() -> None:
    said, code, imported = run("incidents", "--help")
    assert code == 0
    assert "snooze" in said
    assert "headrace incidents" in said
    assert "sqlalchemy" in imported
    assert run("incidents", "no-such-command")[1] == 2
