{#- Frame of a window over an instant: the given time back, up to but not including the instant itself. -#}
{% macro strictly_before(how_far) -%}
    range between interval '{{ how_far }}' preceding and interval '1 microsecond' preceding
{%- endmacro %}
