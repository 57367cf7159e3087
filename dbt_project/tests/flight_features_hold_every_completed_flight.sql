-- One row a flight that arrived: none lost in a join, none doubled, none left over from an older landing.
with expected as (
    select partition_key, count(*) as flights from {{ ref('int_flights') }} where outcome = 'completed' group by all
),

found as (
    select partition_key, count(*) as flights from {{ ref('flight_features') }} group by all
)

select partition_key, expected.flights as expected, found.flights as found
from expected
full join found using (partition_key)
where {{ in_built_partitions() }}
  and expected.flights is distinct from found.flights
