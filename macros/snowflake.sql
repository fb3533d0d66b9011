{# Snowflake's own functions, and its literals, in which a backslash begins an escape sequence. #}

{% macro snowflake__revetl_nested_text(expression) %}{{ return('to_json(to_variant(' ~ expression ~ '))') }}{% endmacro %}

{% macro snowflake__revetl_text_literal(text) %}{{ return("'" ~ text | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") }}{% endmacro %}

{# Without the alias `timestamp`, which is what the account says it is: https://docs.snowflake.com/en/sql-reference/data-types-datetime #}
{% macro snowflake__revetl_time_type() %}{{ return('timestamp_ntz') }}{% endmacro %}

{% macro snowflake__revetl_now() %}{{ return("cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)") }}{% endmacro %}

{% macro snowflake__revetl_delete_found(relation, key, query, matched, condition) %}
  {{ return(revetl_dbt.duckdb__revetl_delete_found(relation, key, query, matched, condition)) }}
{% endmacro %}

{# Snowflake's own takes away blanks alone. #}
{% macro snowflake__revetl_trimmed(text) %}{{ return(revetl_dbt.revetl_replaced(text, '^[[:space:]]+|[[:space:]]+$')) }}{% endmacro %}
