{#-
  The rows of a source's partitions that may be used: those that no gate holds. Headrace holds a partition when it lands
  and releases it when its checks pass. Without a table of holds (no Headrace here, or an old warehouse) all may be used.
-#}
{% macro not_held(source_name, table_name) -%}
    {%- set table = source(source_name, table_name) -%}
    {%- set holds = none -%}
    {%- if execute -%}
        {%- set holds = adapter.get_relation(target.database, 'headrace', 'held_partitions') -%}
    {%- endif -%}
    {%- if holds is none -%}
        true
    {%- else -%}
        partition_key not in (
        select partition_key from {{ holds }} where relation = '{{ (table.schema ~ '.' ~ table.identifier) | lower }}'
    )
    {%- endif -%}
{%- endmacro %}
