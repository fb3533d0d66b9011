{#
  A record as JSON text, written by the engine: exactly what Python would write for the same values (destinations/encoding.py), many times faster.
  Decimals are exact numbers, timestamps ISO 8601 in UTC.
#}

{% macro revetl_json_record(s, names) %}{{ return(adapter.dispatch('revetl_json_record', 'revetl_dbt')(s, names)) }}{% endmacro %}

{# Python writes the records elsewhere; dbt does not parse a dispatch without a default. #}
{% macro default__revetl_json_record(s, names) %}
  {{ exceptions.raise_compiler_error('revetl_json_record is not written for ' ~ target.type) }}
{% endmacro %}

{% macro duckdb__revetl_json_record(s, names) %}
  {%- set parts, finite = [], [] -%}
  {%- for field in s.fields -%}
    {%- set name = "'" ~ dbt.escape_single_quotes(('{' if loop.first else ',') ~ tojson(names[loop.index0]) ~ ':') ~ "'" -%}
    {%- do parts.append(name ~ ", coalesce(" ~ revetl_dbt.duckdb__revetl_json_value(field.name, field.type) ~ ", 'null')") -%}
    {%- if field.type == 'float' -%}{%- do finite.append('coalesce(isfinite(' ~ field.name ~ '), true)') -%}
    {%- elif field.type in ('date', 'timestamp', 'timestamptz') -%}
      {#- within the years that Python and most others have -#}
      {%- set zone = ' 00:00:00+00' if field.type == 'timestamptz' else '' -%}
      {%- do finite.append('coalesce(' ~ field.name ~ ' >= ' ~ field.type ~ " '0001-01-01" ~ zone ~ "' and " ~ field.name ~ ' < ' ~ field.type ~ " '10000-01-01" ~ zone ~ "', true)") -%}
    {%- endif -%}
  {%- endfor -%}
  {#- one call: each `||` would copy what stands before it -#}
  {%- set record = 'concat(' ~ parts | join(', ') ~ ", '}')" -%}
  {{ return('case when ' ~ finite | join(' and ') ~ ' then ' ~ record ~ ' end' if finite else record) }}
{% endmacro %}

{% macro duckdb__revetl_json_value(name, type) %}
  {%- if type == 'text' -%}{{ return('cast(to_json(' ~ name ~ ') as varchar)') }}
  {%- elif type == 'date' -%}{{ return("'\"' || cast(" ~ name ~ " as varchar) || '\"'") }}
  {%- elif type in ('timestamp', 'timestamptz') -%}
    {%- set moment = name if type == 'timestamp' else 'make_timestamp(epoch_us(' ~ name ~ '))' -%}
    {{ return("strftime(" ~ moment ~ ", '\"%Y-%m-%dT%H:%M:%S') || case when microsecond(" ~ moment ~ ") % 1000000 = 0 then 'Z\"' else strftime(" ~ moment ~ ", '.%fZ\"') end") }}
  {%- else -%}{{ return('cast(' ~ name ~ ' as varchar)') }}
  {%- endif -%}
{% endmacro %}
