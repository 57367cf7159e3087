select
    strftime(make_date(year::int, month::int, day::int), '%Y-%m-%d')
        || '-' || carrier || flight || '-' || origin as flight_key,
    partition_key,
    make_date(year::int, month::int, day::int) as flight_date,
    carrier,
    flight as flight_number,
    tailnum,
    origin,
    dest,
    distance as distance_miles,
    time_hour as scheduled_hour_utc,
    time_hour + to_minutes(minute) as scheduled_departure_utc,
    sched_dep_time as scheduled_departure_clock,
    sched_arr_time as scheduled_arrival_clock,
    dep_delay as departure_delay_minutes,
    arr_delay as arrival_delay_minutes,
    case
        when dep_time is null then 'cancelled'
        when arr_delay is null then 'diverted'
        else 'completed'
    end as outcome
from {{ source('raw', 'flights') }}
where {{ not_held('raw', 'flights') }}
