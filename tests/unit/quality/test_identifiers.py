"""One spelling of a table, whoever wrote it."""

import pytest

from headrace.quality.identifiers import name_relation


@pytest.mark.parametrize("written", ["raw.weather", "RAW.Weather", '"w"."raw"."weather"', "w.raw.weather"])
def test_a_table_has_one_spelling(written: str) -> None:
    assert name_relation(written) == "raw.weather"


def test_a_table_without_a_schema_is_in_main() -> None:
    assert name_relation("Weather") == "main.weather"
