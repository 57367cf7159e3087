{#- Weather of the hour before: the observation of an hour is made at its end, after flights of that hour may have left. -#}
{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='partition_key', on_schema_change='fail') }}

with flights as (
    select
        *,
        count(*) over (
            partition by origin order by scheduled_departure_utc
            range between interval 30 minutes preceding and interval 30 minutes following
        ) as origin_scheduled_departures_1h
    from {{ ref('int_flights') }}
    where {{ in_built_partitions() }}
)

select
    flights.flight_key,
    flights.partition_key,
    flights.flight_date,
    flights.scheduled_departure_utc,
    flights.is_late,

    flights.carrier,
    flights.origin,
    flights.dest,
    flights.distance_miles,
    flights.scheduled_block_minutes,
    (flights.scheduled_departure_clock // 100)::bigint as scheduled_hour,
    {{ clock_minutes('flights.scheduled_departure_clock') }}::bigint as scheduled_minute_of_day,
    isodow(flights.flight_date)::bigint as day_of_week,
    month(flights.flight_date)::bigint as month,
    flights.origin_scheduled_departures_1h,

    weather.temperature_f,
    weather.dew_point_f,
    weather.humidity_percent,
    weather.wind_speed_mph,
    weather.wind_gust_mph,
    weather.precipitation_inches,
    weather.pressure_millibars,
    weather.visibility_miles,

    (year(flights.flight_date) - planes.built_year)::bigint as plane_age_years,
    planes.seats as plane_seats,
    planes.engines as plane_engines,

    recent.network_landed_3h,
    recent.network_late_share_3h,
    recent.origin_landed_4h,
    recent.origin_late_share_4h,
    recent.origin_departure_delay_4h,
    recent.dest_landed_12h,
    recent.dest_late_share_12h,
    recent.carrier_landed_24h,
    recent.carrier_late_share_24h,
    recent.route_landed_14d,
    recent.route_late_share_14d,
    recent.plane_last_arrival_delay,
    recent.plane_hours_since_landing
from flights
inner join {{ ref('int_flight_trailing') }} as recent on flights.flight_key = recent.flight_key
left join {{ ref('stg_weather') }} as weather
    on flights.origin = weather.origin
    and flights.scheduled_hour_utc - interval 1 hour = weather.observed_hour_utc
left join {{ ref('stg_planes') }} as planes on flights.tailnum = planes.tailnum
-- After the windows above: cancelled flights were scheduled too, and crowd the airport's timetable like any other.
where flights.outcome = 'completed'
