{# What `revetl state` and `revetl retry` do to the tables of a sync, and what brings tables of an earlier layout forward. #}

{# The number of keys that a plan of ledger and model holds more than once. #}
{% macro revetl_repeated(s) %}
{%- set keys = s.key_columns | map(attribute='name') | join(', ') -%}
select count(*)
from (select {{ keys }} from {{ s.plan }} where _op <> 'invalid' group by {{ keys }} having count(*) > 1) as repeated
{% endmacro %}


{# Rows that are held: of those that were refused, how many times often enough; of those whose outcome is unknown, all. #}
{% macro revetl_is_held(alias, max_attempts) -%}
({{ alias }}._status = 'unknown' or {{ alias }}._attempts >= {{ max_attempts }})
{%- endmacro %}

{# How many rows are to be sent again although nothing of them has changed: they were refused, or may not have arrived. #}
{% macro revetl_waiting(s) %}
select
  (select count(*) from {{ s.ledger }} where _standing = 'unsure')
  + (select count(*) from {{ s.rejected }} as r where not {{ revetl_dbt.revetl_is_held('r', s.max_attempts) }})
{% endmacro %}

{% macro revetl_release_held(s, unknown) %}
  {%- set held = revetl_dbt.revetl_is_held('l', s.max_attempts) ~ ("" if unknown else " and l._status = 'rejected'") -%}
  {%- set settings = {'_attempts': '0'} -%}
  {%- if unknown %}{% do settings.update({'_status': "'rejected'"}) %}{% endif -%}
  {%- set key = s.key_columns | map(attribute='name') | list -%}
  {%- set names = key + s.fields | map(attribute='name') | list + ['_op', '_attempts', '_status', '_code', '_message', '_run_id', '_rejected_at'] -%}
  {{ return(revetl_dbt.revetl_update(s.rejected, names, key, settings, held)) }}
{% endmacro %}

{# Rows of a ledger by standing, and refused rows by status and by whether they are held. #}
{% macro revetl_standings(ledger, rejected, max_attempts) %}
select _standing, count(*) from {{ ledger }} group by _standing
union all
select case when {{ revetl_dbt.revetl_is_held('r', max_attempts) }} then 'held_' else 'waiting_' end || r._status, count(*) from {{ rejected }} as r group by 1
{% endmacro %}


{# A table's rows as text, numbered in the order of their keys, so that they can be read page by page. #}
{% macro revetl_snapshot(relation, source, keys, columns) %}
create table {{ relation }} as
select
  row_number() over (order by {{ keys | join(', ') }}) as _seq
  {%- for column in columns %},
  cast({{ column }} as {{ dbt.type_string() }}) as {{ column }}
  {%- endfor %}
from {{ source }}
{% endmacro %}

{% macro revetl_snapshot_page(relation, columns, seq_from, seq_to) %}
select {{ columns | join(', ') }} from {{ relation }} where _seq > {{ seq_from }} and _seq <= {{ seq_to }} order by _seq
{% endmacro %}


{#
  Put rows of text into a table. `columns` have a name and an engine_type; `rows` are lists of texts, `base64` is the same as a JSON array of arrays, for
  engines that can take it apart.
#}
{% macro revetl_load_rows(relation, columns, rows, base64) %}
  {{ return(adapter.dispatch('revetl_load_rows', 'revetl_dbt')(relation, columns, rows, base64)) }}
{% endmacro %}

{% macro default__revetl_load_rows(relation, columns, rows, base64) %}
insert into {{ relation }} ({{ columns | map(attribute='name') | join(', ') }}) values
{%- for row in rows %}
({% for column in columns %}cast({{ revetl_dbt.revetl_literal(row[loop.index0]) }} as {{ column.engine_type }}){{ ', ' if not loop.last }}{% endfor %}){{ ',' if not loop.last }}
{%- endfor %}
{% endmacro %}

{% macro duckdb__revetl_load_rows(relation, columns, rows, base64) %}
insert into {{ relation }} ({{ columns | map(attribute='name') | join(', ') }})
select {% for column in columns %}cast(r[{{ loop.index }}] as {{ column.engine_type }}){{ ', ' if not loop.last }}{% endfor %}
from (select unnest(from_json(decode(from_base64('{{ base64 }}')), '[["VARCHAR"]]')) as r) as rows
{% endmacro %}

{% macro postgres__revetl_load_rows(relation, columns, rows, base64) %}
insert into {{ relation }} ({{ columns | map(attribute='name') | join(', ') }})
select {% for column in columns %}cast(r ->> {{ loop.index0 }} as {{ column.engine_type }}){{ ', ' if not loop.last }}{% endfor %}
from json_array_elements(convert_from(decode('{{ base64 }}', 'base64'), 'UTF8')::json) as r
{% endmacro %}

{% macro spark__revetl_load_rows(relation, columns, rows, base64) %}
  {%- set values = [] -%}
  {%- for column in columns %}{% do values.append('cast(r[' ~ loop.index0 ~ '] as ' ~ column.engine_type ~ ')') %}{% endfor -%}
  {%- set unpacked = "(select explode(from_json(decode(unbase64('" ~ base64 ~ "'), 'utf-8'), 'array<array<string>>')) as r) as rows" -%}
  {{ return(revetl_dbt.revetl_insert(relation, columns | map(attribute='name') | list, 'select ' ~ values | join(', ') ~ ' from ' ~ unpacked)[0]) }}
{% endmacro %}

{% macro bigquery__revetl_load_rows(relation, columns, rows, base64) %}
insert into {{ relation }} ({{ columns | map(attribute='name') | join(', ') }})
select {% for column in columns %}cast(json_value(r, '$[{{ loop.index0 }}]') as {{ column.engine_type }}){{ ', ' if not loop.last }}{% endfor %}
from unnest(json_query_array(safe_convert_bytes_to_string(from_base64('{{ base64 }}')))) as r
{% endmacro %}


{# The same table with other types of some columns: every value must have a representation in the new type. `columns` are all of its columns. #}
{% macro revetl_retype(relation, identifier, columns, types, key) %}
  {{ return(adapter.dispatch('revetl_retype', 'revetl_dbt')(relation, identifier, columns, types, key)) }}
{% endmacro %}

{% macro default__revetl_retype(relation, identifier, columns, types, key) %}
  {%- set next = revetl_dbt.revetl_beside(relation, '__next') -%}
  {{ return([
    'drop table if exists ' ~ next,
    'create table ' ~ next ~ ' as select ' ~ revetl_dbt.revetl_cast_columns(columns, types) | join(', ') ~ ' from ' ~ relation,
    'drop table ' ~ relation
  ] + revetl_dbt.revetl_finish_next(relation, identifier, key)) }}
{% endmacro %}

{% macro spark__revetl_retype(relation, identifier, columns, types, key) %}
  {{ return(revetl_dbt.revetl_rewrite_log(relation, revetl_dbt.revetl_cast_columns(columns, types), key)) }}
{% endmacro %}

{% macro databricks__revetl_retype(relation, identifier, columns, types, key) %}
  {{ return(['create or replace table ' ~ relation ~ ' as select ' ~ revetl_dbt.revetl_cast_columns(columns, types) | join(', ') ~ ' from ' ~ relation]) }}
{% endmacro %}

{% macro revetl_cast_columns(columns, types) %}
  {%- set parts = [] -%}
  {%- for name in columns -%}
    {%- do parts.append(revetl_dbt.revetl_cast_or_fail(name, types[name]) ~ ' as ' ~ name if name in types else name) -%}
  {%- endfor -%}
  {{ return(parts) }}
{% endmacro %}

{% macro revetl_cast_or_fail(expression, type) %}{{ return(adapter.dispatch('revetl_cast_or_fail', 'revetl_dbt')(expression, type)) }}{% endmacro %}

{% macro default__revetl_cast_or_fail(expression, type) %}{{ return('cast(' ~ expression ~ ' as ' ~ type ~ ')') }}{% endmacro %}

{# A cast of Spark's makes a null of what does not fit, where ANSI mode is off. #}
{% macro spark__revetl_cast_or_fail(expression, type) %}
  {{ return('case when ' ~ expression ~ ' is not null then coalesce(try_cast(' ~ expression ~ ' as ' ~ type ~ "), raise_error('a value does not fit " ~ type ~ "')) end") }}
{% endmacro %}


{# -- earlier layouts ------------------------------------------------------------------------------ #}

{# From format 1: what `begun` meant, which command ran, and which refused rows may have arrived, from the history. #}
{% macro revetl_to_format_2(tables) %}
  {{ return([
    'update ' ~ tables['revetl_runs'] ~ " set command = 'run' where command is null",
    'update ' ~ tables['revetl_syncs'] ~ ' as s set settled_at = (select min(r.finished_at) from ' ~ tables['revetl_runs']
      ~ " as r where r.sync = s.sync and r.account = s.account and r.not_attempted = 0 and r.status in ('success', 'partial', 'noop')) where s.settled_at is null"
  ]) }}
{% endmacro %}

{% macro revetl_rejected_to_format_2(s, sync, account, outcomes) %}
update {{ s.rejected }} as l
set _status = case when exists (
    select 1 from {{ outcomes }} as o
    where o.status = 'unknown' and o.sync = {{ revetl_dbt.revetl_literal(sync) }} and o.account = {{ revetl_dbt.revetl_literal(account) }}
      and o.run_id = l._run_id and o.row_key = {{ revetl_dbt.revetl_key_text(s, 'l') }}
  ) then 'unknown' else 'rejected' end
where _status is null
{% endmacro %}
