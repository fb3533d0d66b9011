{# What `revetl plan` tells of a plan beyond its summary. `s` is that of macros/plan.sql. #}

{#
  One row: a text that is the same for the same rows of the plan in whatever order (null where the engine has no such thing), and for each compared field
  the number of updates that change it.
#}
{% macro revetl_plan_details(s) %}
select
  {{ revetl_dbt.revetl_rows_digest(s) }} as digest
  {%- for field in s.fields if field.compare %},
  count(case when _op = 'update' and {{ revetl_dbt.revetl_has_bit('_changed_' ~ field.word, field.bit) }} then 1 end) as c_{{ loop.index }}
  {%- endfor %}
from {{ s.plan }}
{% endmacro %}


{% macro revetl_has_bit(column, bit) %}{{ return(adapter.dispatch('revetl_has_bit', 'revetl_dbt')(column, bit)) }}{% endmacro %}

{% macro default__revetl_has_bit(column, bit) %}{{ return('(' ~ column ~ ' & ' ~ bit ~ ') <> 0') }}{% endmacro %}

{% macro snowflake__revetl_has_bit(column, bit) %}{{ return('bitand(' ~ column ~ ', ' ~ bit ~ ') <> 0') }}{% endmacro %}


{% macro revetl_rows_digest(s) %}{{ return(adapter.dispatch('revetl_rows_digest', 'revetl_dbt')(s)) }}{% endmacro %}

{% macro default__revetl_rows_digest(s) %}{{ return('cast(null as ' ~ dbt.type_string() ~ ')') }}{% endmacro %}

{% macro duckdb__revetl_rows_digest(s) %}
  {{ return('cast(sum(hash(' ~ revetl_dbt.revetl_plan_columns(s) | join(', ') ~ ')) as varchar)') }}
{% endmacro %}

{% macro postgres__revetl_rows_digest(s) %}
  {{ return('cast(sum(hashtextextended(cast(row(' ~ revetl_dbt.revetl_plan_columns(s) | join(', ') ~ ') as text), 0)) as text)') }}
{% endmacro %}

{# A sum of 64-bit numbers does not fit in 64 bits. #}
{% macro bigquery__revetl_rows_digest(s) %}
  {{ return('cast(sum(cast(farm_fingerprint(to_json_string(struct(' ~ revetl_dbt.revetl_plan_columns(s) | join(', ') ~ '))) as numeric)) as string)') }}
{% endmacro %}

{% macro spark__revetl_rows_digest(s) %}
  {{ return('cast(sum(cast(xxhash64(' ~ revetl_dbt.revetl_plan_columns(s) | join(', ') ~ ') as decimal(38, 0))) as string)') }}
{% endmacro %}

{% macro revetl_plan_columns(s) %}
  {%- set names = ['_op', '_reason'] -%}
  {%- for word in range(s.words) %}{% do names.append('_changed_' ~ word) %}{% endfor -%}
  {%- for column in s.key_columns + s.fields %}{% do names.append(column.name) %}{% endfor -%}
  {{ return(names) }}
{% endmacro %}
