"""What may be a partition key, and an identifier."""

import pytest

from headrace.exceptions import ConfigurationError, InvalidPartitionKeyError
from headrace.quality.identifiers import quote_identifier, quote_literal, quote_relation
from headrace.quality.partitions import check_partition_key, parse_month_key


def test_a_month() -> None:
    assert parse_month_key("2013-01") == (2013, 1)
    assert parse_month_key("2013-12") == (2013, 12)


BAD = ["", "2013", "2013-1", "2013-13", "2013-00", "13-01", "2013-01-01", "../../etc", "2013-01\n", " 2013-01"]


@pytest.mark.parametrize("key", [*BAD, "２０１３-01", "2013-01'; drop table x", None, 201301, "x" * 500])
def test_not_a_month(key: object) -> None:
    with pytest.raises(InvalidPartitionKeyError, match="YYYY-MM") as caught:
        parse_month_key(key)
    assert repr(key)[:50] in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("key", ["2007", "2013-01", "day=2013-01-01", "EU_west.1", "a" * 100])
def test_a_key_of_any_dataset(key: str) -> None:
    assert check_partition_key(key) == key


@pytest.mark.parametrize("key", ["", "../../etc", "a..b", "a/b", "a b", "-x", ".x", "a'b", "a\n", "a" * 101, None, 7])
def test_not_a_key_of_any_dataset(key: object) -> None:
    with pytest.raises(InvalidPartitionKeyError, match="not usable"):
        check_partition_key(key)


def test_identifiers() -> None:
    assert quote_relation("marts.flight_features") == '"marts"."flight_features"'
    assert quote_identifier("Body Mass (g)".replace("(", "").replace(")", "")) == '"Body Mass g"'
    assert quote_literal("O'Hare") == "'O''Hare'"


@pytest.mark.parametrize("name", ["", 'a"b', "a;b", "1a", "a.b.c.d", "a..b", "a\nb"])
def test_not_identifiers(name: str) -> None:
    with pytest.raises(ConfigurationError):
        quote_relation(name)
