{# Snowflake's own functions, and its literals, in which a backslash begins an escape sequence. #}

{% macro snowflake__revetl_nested_text(expression) %}{{ return('to_json(to_variant(' ~ expression ~ '))') }}{% endmacro %}

{% macro snowflake__revetl_text_literal(text) %}{{ return("'" ~ text | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") }}{% endmacro %}
