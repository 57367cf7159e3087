{#-
  The rows that this run builds: those of the partition in var `partition_key`, or all of them without the var.
  The key reaches SQL as a literal, so it is held to the same form as in Headrace.
-#}
{% macro in_built_partitions(column='partition_key') -%}
    {%- set key = var('partition_key', none) -%}
    {%- if key is none or key == '' -%}
        true
    {%- elif not modules.re.fullmatch('[A-Za-z0-9][A-Za-z0-9_.=-]{0,99}', key | string) -%}
        {{ exceptions.raise_compiler_error("partition_key " ~ (key | string | tojson) ~ " is not a partition key, for example 2013-01") }}
    {%- else -%}
        {{ column }} = '{{ key }}'
    {%- endif -%}
{%- endmacro %}
