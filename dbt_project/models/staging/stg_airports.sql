select
    faa as airport,
    name as airport_name,
    tzone as time_zone
from {{ source('raw', 'airports') }}

union all

-- Served from New York and absent from the list: without a time zone their arrivals could not be placed in time.
select *
from (
    values
        ('SJU', 'San Juan, Puerto Rico', 'America/Puerto_Rico'),
        ('BQN', 'Aguadilla, Puerto Rico', 'America/Puerto_Rico'),
        ('PSE', 'Ponce, Puerto Rico', 'America/Puerto_Rico'),
        ('STT', 'Saint Thomas, Virgin Islands', 'America/St_Thomas')
) as absent (airport, airport_name, time_zone)
where airport not in (select faa from {{ source('raw', 'airports') }})
