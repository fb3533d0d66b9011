{# Trino's own functions. #}

{% macro trino__revetl_nested_text(expression) %}{{ return('json_format(cast(' ~ expression ~ ' as json))') }}{% endmacro %}

{% macro trino__revetl_sha256(text) %}{{ return('lower(to_hex(sha256(to_utf8(' ~ text ~ '))))') }}{% endmacro %}

{% macro trino__revetl_has_bit(column, bit) %}{{ return('bitwise_and(' ~ column ~ ', ' ~ bit ~ ') <> 0') }}{% endmacro %}

{# The precision that Iceberg and Delta Lake tables have: https://trino.io/docs/current/connector/iceberg.html#type-mapping #}
{% macro trino__revetl_time_type() %}{{ return('timestamp(6)') }}{% endmacro %}

{# The session has a zone of its own. #}
{% macro trino__revetl_now() %}{{ return("cast(current_timestamp at time zone 'UTC' as timestamp(6))") }}{% endmacro %}
