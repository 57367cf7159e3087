{#- No wind in New York has come near this; the fastest gust ever measured on earth was 253 mph. -#}
{%- set fastest_wind_mph = 200 -%}
select
    partition_key,
    origin,
    time_hour as observed_hour_utc,
    temp as temperature_f,
    dewp as dew_point_f,
    humid as humidity_percent,
    case when wind_speed between 0 and {{ fastest_wind_mph }} then wind_speed end as wind_speed_mph,
    case when wind_gust between 0 and {{ fastest_wind_mph }} then wind_gust end as wind_gust_mph,
    precip as precipitation_inches,
    pressure as pressure_millibars,
    visib as visibility_miles
from {{ source('raw', 'weather') }}
where {{ not_held('raw', 'weather') }}
