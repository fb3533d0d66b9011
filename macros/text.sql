{# Small pieces that differ between engines. #}

{% macro revetl_differs(a, b) %}{{ return(adapter.dispatch('revetl_differs', 'revetl_dbt')(a, b)) }}{% endmacro %}

{% macro default__revetl_differs(a, b) %}{{ return(a ~ ' is distinct from ' ~ b) }}{% endmacro %}

{% macro redshift__revetl_differs(a, b) %}
  {{ return('(' ~ a ~ ' <> ' ~ b ~ ' or (' ~ a ~ ' is null) <> (' ~ b ~ ' is null))') }}
{% endmacro %}


{# The type of texts of any length. #}
{% macro revetl_text_type() %}{{ return(adapter.dispatch('revetl_text_type', 'revetl_dbt')()) }}{% endmacro %}

{% macro default__revetl_text_type() %}{{ return(dbt.type_string()) }}{% endmacro %}


{# The number of a plan row: a column, or the engine's own row number where that is free. #}
{% macro revetl_seq() %}{{ return(adapter.dispatch('revetl_seq', 'revetl_dbt')()) }}{% endmacro %}

{% macro default__revetl_seq() %}{{ return('_seq') }}{% endmacro %}

{# DuckDB numbers the rows of a table that nothing is deleted from; row_number() would run on one thread. #}
{% macro duckdb__revetl_seq() %}{{ return('rowid') }}{% endmacro %}


{# The type of our own times, which have no zone and are in UTC. #}
{% macro revetl_time_type() %}{{ return(adapter.dispatch('revetl_time_type', 'revetl_dbt')()) }}{% endmacro %}

{% macro default__revetl_time_type() %}{{ return(dbt.type_timestamp()) }}{% endmacro %}

{% macro bigquery__revetl_time_type() %}{{ return('datetime') }}{% endmacro %}

{% macro spark__revetl_time_type() %}{{ return('timestamp_ntz') }}{% endmacro %}


{# A list, struct, map or JSON value as text that is equal when the value is equal. #}
{% macro revetl_nested_text(expression) %}{{ return(adapter.dispatch('revetl_nested_text', 'revetl_dbt')(expression)) }}{% endmacro %}

{% macro default__revetl_nested_text(expression) %}{{ return('to_json_string(' ~ expression ~ ')') }}{% endmacro %}

{% macro duckdb__revetl_nested_text(expression) %}{{ return('cast(to_json(' ~ expression ~ ') as varchar)') }}{% endmacro %}

{# Spark has no order of a map's entries: the text that it is given has the one of the value. #}
{% macro spark__revetl_nested_text(expression) %}{{ return('to_json(' ~ expression ~ ')') }}{% endmacro %}

{% macro postgres__revetl_nested_text(expression) %}{{ return('cast(to_jsonb(' ~ expression ~ ') as text)') }}{% endmacro %}


{#
  SHA-256, as hexadecimal text, of a value in the form that vendors ask for; null where nothing is left of it. `text`: without space around it, in lower
  case. `phone`: a plus sign and the digits, without leading zeros (E.164, when the country code is there). `phone_digits`: the same without the plus sign.
#}
{% macro revetl_hashed(expression, normalise) %}
  {%- set text = 'cast(' ~ expression ~ ' as ' ~ dbt.type_string() ~ ')' -%}
  {%- if normalise == 'text' -%}
    {{ return(revetl_dbt.revetl_sha256('nullif(lower(' ~ revetl_dbt.revetl_trimmed(text) ~ "), '')")) }}
  {%- endif -%}
  {#- (0) is written for those who call from within the country -#}
  {%- set digits = 'nullif(' ~ revetl_dbt.revetl_replaced(revetl_dbt.revetl_replaced("replace(" ~ text ~ ", '(0)', '')", '[^0-9]'), '^0+') ~ ", '')" -%}
  {{ return(revetl_dbt.revetl_sha256("'+' || " ~ digits if normalise == 'phone' else digits)) }}
{% endmacro %}

{% macro revetl_sha256(text) %}{{ return(adapter.dispatch('revetl_sha256', 'revetl_dbt')(text)) }}{% endmacro %}

{% macro default__revetl_sha256(text) %}{{ return('sha2(' ~ text ~ ', 256)') }}{% endmacro %}

{% macro duckdb__revetl_sha256(text) %}{{ return('sha256(' ~ text ~ ')') }}{% endmacro %}

{% macro postgres__revetl_sha256(text) %}{{ return("encode(sha256(convert_to(" ~ text ~ ", 'UTF8')), 'hex')") }}{% endmacro %}

{% macro bigquery__revetl_sha256(text) %}{{ return('to_hex(sha256(' ~ text ~ '))') }}{% endmacro %}


{# A text without what matches a pattern, wherever it does. #}
{% macro revetl_replaced(text, pattern) %}{{ return(adapter.dispatch('revetl_replaced', 'revetl_dbt')(text, pattern)) }}{% endmacro %}

{% macro default__revetl_replaced(text, pattern) %}{{ return("regexp_replace(" ~ text ~ ", '" ~ pattern ~ "', '')") }}{% endmacro %}

{% macro duckdb__revetl_replaced(text, pattern) %}{{ return("regexp_replace(" ~ text ~ ", '" ~ pattern ~ "', '', 'g')") }}{% endmacro %}

{% macro postgres__revetl_replaced(text, pattern) %}{{ return("regexp_replace(" ~ text ~ ", '" ~ pattern ~ "', '', 'g')") }}{% endmacro %}


{# A text without space of any kind around it. #}
{% macro revetl_trimmed(text) %}{{ return(adapter.dispatch('revetl_trimmed', 'revetl_dbt')(text)) }}{% endmacro %}

{% macro default__revetl_trimmed(text) %}{{ return('trim(' ~ text ~ ')') }}{% endmacro %}

{% macro duckdb__revetl_trimmed(text) %}{{ return(revetl_dbt.revetl_replaced(text, '^[[:space:]]+|[[:space:]]+$')) }}{% endmacro %}

{% macro spark__revetl_trimmed(text) %}{{ return(revetl_dbt.revetl_replaced(text, '^\\\\s+|\\\\s+$')) }}{% endmacro %}

{% macro bigquery__revetl_trimmed(text) %}{{ return(revetl_dbt.revetl_replaced(text, '^[[:space:]]+|[[:space:]]+$')) }}{% endmacro %}

{% macro postgres__revetl_trimmed(text) %}{{ return(revetl_dbt.revetl_replaced(text, '^[[:space:]]+|[[:space:]]+$')) }}{% endmacro %}


{# A literal of the engine for a constant of the declaration. #}
{% macro revetl_literal(value) %}
  {%- if value is none -%}{{ return('null') }}
  {%- elif value is sameas true -%}{{ return('true') }}
  {%- elif value is sameas false -%}{{ return('false') }}
  {%- elif value is number -%}{{ return(value | string) }}
  {%- else -%}{{ return(adapter.dispatch('revetl_text_literal', 'revetl_dbt')(value | string)) }}
  {%- endif -%}
{% endmacro %}

{% macro revetl_literals(values) %}
  {%- set literals = [] -%}
  {%- for value in values %}{% do literals.append(revetl_dbt.revetl_literal(value)) %}{% endfor -%}
  {{ return(literals) }}
{% endmacro %}

{% macro default__revetl_text_literal(text) %}{{ return("'" ~ dbt.escape_single_quotes(text) ~ "'") }}{% endmacro %}


{# In these engines a backslash begins an escape sequence, and BigQuery's literals end with the line. #}
{% macro bigquery__revetl_text_literal(text) %}
  {{ return("'" ~ text | replace('\\', '\\\\') | replace("'", "\\'") | replace('\n', '\\n') | replace('\r', '\\r') ~ "'") }}
{% endmacro %}


{% macro spark__revetl_text_literal(text) %}{{ return("'" ~ text | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") }}{% endmacro %}


{# How a column of the plan is read, so that the driver makes its value exactly and fast; warehouse/reader.py undoes it. #}
{% macro revetl_read_column(name, type) %}
  {{ return(adapter.dispatch('revetl_read_column', 'revetl_dbt')(name, type)) }}
{% endmacro %}

{% macro default__revetl_read_column(name, type) %}{{ return(name) }}{% endmacro %}

{# pyspark gives an instant in the zone of this process, without saying so, and fails at a year that Python does not have. #}
{% macro spark__revetl_read_column(name, type) %}
  {%- if type == 'timestamptz' -%}{{ return('unix_micros(' ~ name ~ ')') }}
  {%- elif type in ('date', 'timestamp') -%}{{ return('cast(' ~ name ~ ' as string)') }}
  {%- else -%}{{ return(name) }}
  {%- endif -%}
{% endmacro %}

{# Decimals as text: the driver is five times faster. Zoned timestamps as microseconds since 1970: exact, whatever the session's zone. #}
{% macro duckdb__revetl_read_column(name, type) %}
  {%- if type == 'decimal' -%}{{ return('cast(' ~ name ~ ' as varchar)') }}
  {#- infinite ones have no microseconds, and are not null -#}
  {%- elif type == 'timestamptz' -%}
    {{ return('coalesce(epoch_us(' ~ name ~ '), case when ' ~ name ~ " > timestamptz 'epoch' then 9223372036854775807 when " ~ name ~ ' is not null then -9223372036854775807 end)') }}
  {%- else -%}{{ return(name) }}
  {%- endif -%}
{% endmacro %}


{# The warehouse's clock, as a timestamp without zone in UTC. #}
{% macro revetl_now() %}{{ return(adapter.dispatch('revetl_now', 'revetl_dbt')()) }}{% endmacro %}

{% macro default__revetl_now() %}{{ return('cast(' ~ dbt.current_timestamp() ~ ' as ' ~ dbt.type_timestamp() ~ ')') }}{% endmacro %}

{% macro duckdb__revetl_now() %}{{ return('make_timestamp(epoch_us(now()))') }}{% endmacro %}

{% macro postgres__revetl_now() %}{{ return("(clock_timestamp() at time zone 'utc')") }}{% endmacro %}

{% macro bigquery__revetl_now() %}{{ return("datetime(current_timestamp(), 'UTC')") }}{% endmacro %}

{% macro spark__revetl_now() %}{{ return("convert_timezone('UTC', localtimestamp())") }}{% endmacro %}

{% macro revetl_seconds_from_now(seconds) %}{{ return(adapter.dispatch('revetl_seconds_from_now', 'revetl_dbt')(seconds)) }}{% endmacro %}

{% macro default__revetl_seconds_from_now(seconds) %}{{ return(dbt.dateadd('second', seconds, revetl_dbt.revetl_now())) }}{% endmacro %}

{% macro spark__revetl_seconds_from_now(seconds) %}{{ return(revetl_dbt.revetl_now() ~ " + interval '" ~ seconds ~ "' second") }}{% endmacro %}


{# What a connection of ours sets first. #}
{% macro revetl_session_settings(memory_limit) %}{{ return(adapter.dispatch('revetl_session_settings', 'revetl_dbt')(memory_limit)) }}{% endmacro %}

{% macro default__revetl_session_settings(memory_limit) %}{{ return([]) }}{% endmacro %}

{# DuckDB runs inside our process and would take 80 % of the machine's memory; beyond the limit it spills to disk. #}
{% macro duckdb__revetl_session_settings(memory_limit) %}{{ return(["set memory_limit = '" ~ memory_limit ~ "'"]) }}{% endmacro %}
