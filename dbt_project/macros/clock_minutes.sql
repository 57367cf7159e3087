{#- Minutes since midnight of a clock time written as a number: 517 is 05:17, and 2400 is midnight. -#}
{% macro clock_minutes(clock) -%}
    ((({{ clock }}) // 100) * 60 + ({{ clock }}) % 100)
{%- endmacro %}
