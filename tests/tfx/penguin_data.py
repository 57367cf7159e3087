"""Features of penguins, as the penguins' dbt project publishes them; orchestration interpreter."""

import importlib.util
from pathlib import Path

import duckdb

_COLUMNS = """
    row_number() over ()::varchar as penguin_id, year::varchar as partition_key, species,
    (list_position(['Adelie', 'Chinstrap', 'Gentoo'], species) - 1)::bigint as species_index, island, sex,
    bill_length_mm::double as bill_length_mm, bill_depth_mm::double as bill_depth_mm,
    flipper_length_mm::double as flipper_length_mm, body_mass_g::double as body_mass_g
"""


def write_penguin_features(folder: Path) -> None:
    """Write ``2007.parquet`` and ``2008.parquet``."""
    spec = importlib.util.find_spec("palmerpenguins")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "data" / "penguins.csv"
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(
            f"create table birds as select {_COLUMNS} from read_csv('{source}', nullstr='NA') "
            "where body_mass_g is not null"
        )
        for year in ("2007", "2008"):
            target = folder / f"{year}.parquet"
            birds = f"select * from birds where partition_key = '{year}'"
            connection.execute(f"copy ({birds}) to '{target}' (format parquet)")
