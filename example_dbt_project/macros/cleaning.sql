{# Text without surrounding white space, in one Unicode form; the ways to write "nothing" become null. #}
{% macro clean_text(column) -%}
  case when trim({{ column }}, e' \t') not in ('', '-', 'n/a') then trim(nfc_normalize({{ column }}), e' \t') end
{%- endmacro %}

{# An address in lower case, or null when it cannot be one. #}
{% macro clean_email(column) -%}
  case
    when regexp_full_match(trim({{ column }}, e' \t'), '[^@\s]+@[^@\s.]+(\.[^@\s.]+)+') then lower(trim({{ column }}, e' \t'))
  end
{%- endmacro %}

{# ISO 8601 with any offset, as a timestamp in UTC. #}
{% macro utc(column) -%}
  cast({{ column }} as timestamptz) at time zone 'UTC'
{%- endmacro %}

{# The ways to say yes. #}
{% macro is_yes(column) -%}
  coalesce(lower({{ column }}) in ('true', 'yes', '1'), false)
{%- endmacro %}

{# Minor units as an amount of money; needs `raw_currencies` joined as `currencies`. #}
{% macro amount(column) -%}
  cast(cast({{ column }} as bigint) / power(10, cast(currencies.decimals as integer)) as decimal(12, 2))
{%- endmacro %}
