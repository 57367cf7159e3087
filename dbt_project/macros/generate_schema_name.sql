{#- Schemas are named as they are configured (`marts`), without the target's schema in front (`main_marts`). -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
