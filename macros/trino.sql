{# Trino's own functions. #}

{% macro trino__revetl_nested_text(expression) %}{{ return('json_format(cast(' ~ expression ~ ' as json))') }}{% endmacro %}

{% macro trino__revetl_sha256(text) %}{{ return('lower(to_hex(sha256(to_utf8(' ~ text ~ '))))') }}{% endmacro %}

{% macro trino__revetl_has_bit(column, bit) %}{{ return('bitwise_and(' ~ column ~ ', ' ~ bit ~ ') <> 0') }}{% endmacro %}
