{#-
  One ordered line of events instead of a join of flights with flights: landings carry what was learnt, scheduled
  departures only ask. Each window ends a microsecond before the scheduled departure that asks.
-#}
{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='partition_key', on_schema_change='fail') }}

with departures as (
    select * from {{ ref('int_flights') }} where {{ in_built_partitions() }}
),

landings as (
    select *
    from {{ ref('int_flights') }}
    where arrived_at_utc between (select min(scheduled_departure_utc) - interval 14 days from departures)
        and (select max(scheduled_departure_utc) from departures)
),

events as (
    select
        flight_key, partition_key, scheduled_departure_utc as happened_at_utc, carrier, tailnum, origin, dest,
        null::bigint as was_late, null::bigint as arrival_delay_minutes, null::bigint as departure_delay_minutes
    from departures

    union all by name

    select
        null as flight_key, null as partition_key, arrived_at_utc as happened_at_utc, carrier, tailnum, origin, dest,
        is_late as was_late, arrival_delay_minutes, departure_delay_minutes
    from landings
),

looked_back as (
    select
        flight_key,
        partition_key,

        count(was_late) over network_3h as network_landed_3h,
        avg(was_late) over network_3h as network_late_share_3h,

        count(was_late) over origin_4h as origin_landed_4h,
        avg(was_late) over origin_4h as origin_late_share_4h,
        avg(departure_delay_minutes) over origin_4h as origin_departure_delay_4h,

        count(was_late) over dest_12h as dest_landed_12h,
        avg(was_late) over dest_12h as dest_late_share_12h,

        count(was_late) over carrier_24h as carrier_landed_24h,
        avg(was_late) over carrier_24h as carrier_late_share_24h,

        count(was_late) over route_14d as route_landed_14d,
        avg(was_late) over route_14d as route_late_share_14d,

        case when tailnum is not null then arg_max(arrival_delay_minutes, happened_at_utc) over plane_3d end
            as plane_last_arrival_delay,
        case when tailnum is not null then max(case when was_late is not null then happened_at_utc end) over plane_3d end
            as plane_last_landed_at_utc,
        happened_at_utc
    from events
    window
        network_3h as (order by happened_at_utc {{ strictly_before('3 hours') }}),
        origin_4h as (partition by origin order by happened_at_utc {{ strictly_before('4 hours') }}),
        dest_12h as (partition by dest order by happened_at_utc {{ strictly_before('12 hours') }}),
        carrier_24h as (partition by carrier order by happened_at_utc {{ strictly_before('24 hours') }}),
        route_14d as (partition by carrier, origin, dest order by happened_at_utc {{ strictly_before('14 days') }}),
        plane_3d as (partition by tailnum order by happened_at_utc {{ strictly_before('3 days') }})
)

select
    * exclude (happened_at_utc, plane_last_landed_at_utc),
    date_diff('minute', plane_last_landed_at_utc, happened_at_utc) / 60.0::double as plane_hours_since_landing
from looked_back
where flight_key is not null
