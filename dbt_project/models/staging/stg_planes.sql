select
    tailnum,
    year as built_year,
    manufacturer,
    engines,
    seats
from {{ source('raw', 'planes') }}
