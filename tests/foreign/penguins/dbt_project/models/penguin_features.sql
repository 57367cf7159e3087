{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='partition_key') }}

select
    penguin_id,
    partition_key,
    species,
    (list_position(['Adelie', 'Chinstrap', 'Gentoo'], species) - 1)::bigint as species_index,
    island,
    sex,
    bill_length_mm,
    bill_depth_mm,
    flipper_length_mm,
    body_mass_g
from {{ source('field_notes', 'penguins') }}
where body_mass_g is not null
{% if var('partition_key', none) %} and partition_key = '{{ var("partition_key") }}'{% endif %}
