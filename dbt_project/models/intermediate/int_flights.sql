-- A clock at the destination becomes an instant: the first time after scheduled departure that this clock shows it.
with placed as (
    select
        flights.*,
        airports.time_zone,
        (scheduled_departure_utc at time zone 'UTC') at time zone airports.time_zone as departure_on_destination_clock
    from {{ ref('stg_flights') }} as flights
    left join {{ ref('stg_airports') }} as airports on flights.dest = airports.airport
),

timed as (
    select
        *,
        (
            {{ clock_minutes('scheduled_arrival_clock') }}
            - (hour(departure_on_destination_clock) * 60 + minute(departure_on_destination_clock))
            + 2 * 1440
        ) % 1440 as scheduled_block_minutes
    from placed
)

select
    flight_key,
    partition_key,
    flight_date,
    carrier,
    tailnum,
    origin,
    dest,
    distance_miles,
    scheduled_departure_clock,
    scheduled_hour_utc,
    scheduled_departure_utc,
    scheduled_block_minutes,
    outcome,
    departure_delay_minutes,
    arrival_delay_minutes,
    case
        when outcome = 'completed'
            then scheduled_departure_utc + to_minutes(scheduled_block_minutes + arrival_delay_minutes)
    end as arrived_at_utc,
    case when outcome = 'completed' then (arrival_delay_minutes > 15)::bigint end as is_late
from timed
