{#-
  A window's sum is the running total just before scheduled departure, less the running total just before the window
  opened: two ASOF joins, each `>` and never `>=`. A join of flights with flights would be quadratic, and range frames
  (`over (… range between interval …)`) took 15 times as long on a year.
-#}
{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='partition_key', on_schema_change='fail') }}

{%- set windows = {
    'network_3h': {'of_same': [], 'back': '3 hours'},
    'origin_4h': {'of_same': ['origin'], 'back': '4 hours'},
    'dest_12h': {'of_same': ['dest'], 'back': '12 hours'},
    'carrier_24h': {'of_same': ['carrier'], 'back': '24 hours'},
    'route_14d': {'of_same': ['carrier', 'origin', 'dest'], 'back': '14 days'},
} %}

with departures as (
    select flight_key, partition_key, scheduled_departure_utc, carrier, tailnum, origin, dest
    from {{ ref('int_flights') }}
    where {{ in_built_partitions() }}
),

-- What was learnt, and when; of all partitions that no gate holds, as far back as the longest window reaches.
landings as (
    select carrier, tailnum, origin, dest, arrived_at_utc, is_late, arrival_delay_minutes, departure_delay_minutes
    from {{ ref('int_flights') }}
    where arrived_at_utc between (select min(scheduled_departure_utc) - interval '14 days' from departures)
        and (select max(scheduled_departure_utc) from departures)
),

{% for window, spec in windows.items() %}
{{ window }}_totals as (
    select
        {% for column in spec.of_same %}{{ column }}, {% endfor %}arrived_at_utc,
        sum(count(*)) over so_far as landed_so_far,
        sum(sum(is_late)) over so_far as late_so_far,
        sum(sum(departure_delay_minutes)) over so_far as departure_delay_so_far
    from landings
    group by {% for column in spec.of_same %}{{ column }}, {% endfor %}arrived_at_utc
    window so_far as ({% if spec.of_same %}partition by {{ spec.of_same | join(', ') }} {% endif %}order by arrived_at_utc)
),

{{ window }} as (
    select
        departures.flight_key,
        (coalesce(until.landed_so_far, 0) - coalesce(before.landed_so_far, 0))::bigint as landed,
        (coalesce(until.late_so_far, 0) - coalesce(before.late_so_far, 0)) / nullif(landed, 0)::double as late_share,
        (coalesce(until.departure_delay_so_far, 0) - coalesce(before.departure_delay_so_far, 0)) / nullif(landed, 0)::double
            as mean_departure_delay
    from departures
    asof left join {{ window }}_totals as until
        on {% for column in spec.of_same %}departures.{{ column }} = until.{{ column }} and {% endfor -%}
        departures.scheduled_departure_utc > until.arrived_at_utc
    asof left join {{ window }}_totals as before
        on {% for column in spec.of_same %}departures.{{ column }} = before.{{ column }} and {% endfor -%}
        departures.scheduled_departure_utc - interval '{{ spec.back }}' > before.arrived_at_utc
),

{% endfor -%}
plane_landings as (
    select tailnum, arrived_at_utc, max(arrival_delay_minutes) as arrival_delay_minutes
    from landings
    where tailnum is not null
    group by all
),

plane_3d as (
    select
        departures.flight_key,
        plane_landings.arrival_delay_minutes as last_arrival_delay,
        date_diff('minute', plane_landings.arrived_at_utc, departures.scheduled_departure_utc) / 60.0::double
            as hours_since_landing
    from departures
    asof inner join plane_landings
        on departures.tailnum = plane_landings.tailnum
        and departures.scheduled_departure_utc > plane_landings.arrived_at_utc
    where plane_landings.arrived_at_utc >= departures.scheduled_departure_utc - interval '3 days'
)

select
    departures.flight_key,
    departures.partition_key,
    network_3h.landed as network_landed_3h,
    network_3h.late_share as network_late_share_3h,
    origin_4h.landed as origin_landed_4h,
    origin_4h.late_share as origin_late_share_4h,
    origin_4h.mean_departure_delay as origin_departure_delay_4h,
    dest_12h.landed as dest_landed_12h,
    dest_12h.late_share as dest_late_share_12h,
    carrier_24h.landed as carrier_landed_24h,
    carrier_24h.late_share as carrier_late_share_24h,
    route_14d.landed as route_landed_14d,
    route_14d.late_share as route_late_share_14d,
    plane_3d.last_arrival_delay as plane_last_arrival_delay,
    plane_3d.hours_since_landing as plane_hours_since_landing
from departures
{% for window in windows %}
inner join {{ window }} on departures.flight_key = {{ window }}.flight_key
{% endfor %}
left join plane_3d on departures.flight_key = plane_3d.flight_key
