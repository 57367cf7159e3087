"""Small features of flights, made up: 20 rows a day, most of them unremarkable; orchestration interpreter."""

from pathlib import Path

import duckdb

ROWS_A_DAY = 20


def write_flight_features(folder: Path, month: str, changes: str = "", days: int = 31, without: str = "") -> Path:
    """Write ``<folder>/<month>.parquet`` with the columns of dbt's ``flight_features`` that the model reads.

    Args:
        folder: Where to write.
        month: ``2013-01``.
        changes: SQL of a ``replace (...)`` list, for example ``1048.0 as wind_speed_mph``; ``day`` and ``n`` (0 to 19)
            can be used.
        days: Days in the month.
        without: A column that is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{month}.parquet"
    replace = f"replace ({changes})" if changes else ""
    gone = f", {without}" if without else ""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            copy (select * exclude (day, n{gone}) {replace} from (
                select
                    day, n,
                    'flight-' || day || '-' || n as flight_key,
                    '{month}' as partition_key,
                    date '{month}-01' + (day - 1)::integer as flight_date,
                    (n % 4 = 0)::bigint as is_late,
                    ['UA', 'B6', 'DL'][n % 3 + 1] as carrier,
                    ['EWR', 'JFK', 'LGA'][(n + day) % 3 + 1] as origin,
                    'ORD' as dest,
                    (n % 24)::bigint as scheduled_hour,
                    (day % 7 + 1)::bigint as day_of_week,
                    719::bigint as distance_miles,
                    (n * 60)::bigint as scheduled_minute_of_day,
                    10::bigint as origin_scheduled_departures_1h,
                    10.0::double as wind_speed_mph,
                    0.0::double as precipitation_inches,
                    10.0::double as visibility_miles,
                    20::bigint as network_landed_3h,
                    0.2::double as network_late_share_3h,
                    5::bigint as origin_landed_4h,
                    (n % 5 / 5.0)::double as origin_late_share_4h,
                    0.2::double as dest_late_share_12h,
                    0.2::double as carrier_late_share_24h,
                    0.2::double as route_late_share_14d,
                    3.5::double as origin_departure_delay_4h,
                    -4::bigint as plane_last_arrival_delay,
                    2.5::double as plane_hours_since_landing
                from range(1, {days + 1}) as d(day), range({ROWS_A_DAY}) as r(n)
                order by day, n
            )) to '{target}' (format parquet)
            """
        )
    return target
