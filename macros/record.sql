{# What is written down: the ledger and the rejected rows of a sync, and the tables that all syncs share. Each macro returns a list of statements. #}

{# Every table of ours and its columns; warehouse/store.py creates them and the tests of the dbt package read them. #}
{% macro revetl_shared_tables() %}
  {%- set text, big, time = revetl_dbt.revetl_text_type(), dbt.type_bigint(), revetl_dbt.revetl_time_type() -%}
  {{ return({
    'revetl_syncs': [
      ('sync', text), ('account', text), ('account_name', text), ('destination', text), ('object', text), ('model', text),
      ('ledger', text), ('plan_id', text), ('checksum', text), ('layout', text), ('state_format', big), ('updated_at', time), ('settled_at', time),
      ('claimed', text), ('mark', text), ('built', text)],
    'revetl_accounts': [('fingerprint', text), ('account', text), ('account_name', text), ('url', text), ('seen_at', time)],
    'revetl_runs': [
      ('run_id', text), ('sync', text), ('account', text), ('model', text), ('destination', text), ('object', text), ('mode', text), ('target', text),
      ('status', text), ('model_rows', big), ('planned', big), ('created', big), ('updated', big), ('deleted', big), ('unchanged', big),
      ('invalid', big), ('rejected', big), ('held', big), ('skipped', big), ('not_attempted', big), ('requests', big),
      ('started_at', time), ('finished_at', time), ('message', text), ('dbt_invocation_id', text), ('revetl_version', text),
      ('command', text), ('released', text), ('bytes_processed', big)],
    'revetl_outcomes': [
      ('run_id', text), ('sync', text), ('account', text), ('seq', big), ('row_key', text), ('action', text), ('status', text), ('code', text),
      ('message', text), ('destination_id', text), ('attempt', big), ('recorded_at', time)],
    'revetl_changes': [
      ('run_id', text), ('sync', text), ('account', text), ('seq', big), ('row_key', text), ('action', text), ('field', text),
      ('old_value', text), ('new_value', text), ('destination_id', text), ('recorded_at', time)],
    'revetl_leases': [('sync', text), ('account', text), ('run_id', text), ('holder', text), ('acquired_at', time), ('expires_at', time)],
    'revetl_format': [('state_format', big), ('revetl_version', text), ('written_at', time)],
    'revetl_queue': [
      ('invocation_id', text), ('unique_id', text), ('relation', text), ('status', text), ('tested', text), ('command', text), ('target', text),
      ('package_version', text), ('started_at', time), ('queued_at', time), ('state', text), ('worker', text), ('leased_until', time),
      ('attempts', big), ('run_id', text), ('message', text), ('finished_at', time)]
  }) }}
{% endmacro %}


{% macro revetl_create_shared(schema, tables) %}
  {%- set statements = ['create schema if not exists ' ~ schema] -%}
  {%- for name, columns in revetl_dbt.revetl_shared_tables().items() -%}
    {%- if name == 'revetl_queue' -%}
      {#- written by dbt's hook as well, which makes it the same way -#}
      {%- do statements.append(revetl_dbt.revetl_create_table(tables[name], columns)) -%}
    {%- else -%}
      {%- set definitions = [] -%}
      {%- for column, type in columns %}{% do definitions.append(column ~ ' ' ~ type) %}{% endfor -%}
      {%- do statements.extend(revetl_dbt.revetl_create_kept(tables[name], definitions, revetl_dbt.revetl_shared_keys()[name])) -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(statements + revetl_dbt.revetl_shared_constraints(tables)) }}
{% endmacro %}

{% macro revetl_create_table(relation, columns) %}
  {%- set definitions = [] -%}
  {%- for column, type in columns %}{% do definitions.append(column ~ ' ' ~ type) %}{% endfor -%}
  {{ return('create table if not exists ' ~ relation ~ ' (' ~ definitions | join(', ') ~ ')') }}
{% endmacro %}

{# Engines that let two transactions insert the same lease need to be told that there is one. #}
{% macro revetl_shared_constraints(tables) %}{{ return(adapter.dispatch('revetl_shared_constraints', 'revetl_dbt')(tables)) }}{% endmacro %}

{% macro default__revetl_shared_constraints(tables) %}{{ return([]) }}{% endmacro %}

{% macro duckdb__revetl_shared_constraints(tables) %}{{ return(revetl_dbt.postgres__revetl_shared_constraints(tables)) }}{% endmacro %}

{% macro postgres__revetl_shared_constraints(tables) %}
  {{ return(['create unique index if not exists revetl_leases_one on ' ~ tables['revetl_leases'] ~ ' (sync, account)']) }}
{% endmacro %}


{# An empty table with the types that the sync's keys and fields have in this engine. #}
{% macro revetl_shape(s, relation) %}
  {{ return(['drop table if exists ' ~ relation,
             'create table ' ~ relation ~ ' as select * from (' ~ revetl_dbt.revetl_source(s) ~ ') as shape where 1 = 0']) }}
{% endmacro %}


{% macro revetl_create_ledger(s) %}
  {%- set columns = [] -%}
  {%- for column in s.key_columns + s.fields %}{% do columns.append(column.name ~ ' ' ~ column.engine_type) %}{% endfor -%}
  {%- set text, big, time = revetl_dbt.revetl_text_type(), dbt.type_bigint(), revetl_dbt.revetl_time_type() -%}
  {%- set key = s.key_columns | map(attribute='name') | list -%}
  {%- set accepted = ['_standing ' ~ text, '_destination_id ' ~ text, '_run_id ' ~ text, '_accepted_at ' ~ time] -%}
  {%- set refused = ['_op ' ~ text, '_attempts ' ~ big, '_status ' ~ text, '_code ' ~ text, '_message ' ~ text, '_run_id ' ~ text, '_rejected_at ' ~ time] -%}
  {{ return(revetl_dbt.revetl_create_kept(s.ledger, columns + accepted, key, revetl_dbt.revetl_laid_out(s))
    + revetl_dbt.revetl_create_kept(s.rejected, columns + refused, key) + [revetl_dbt.revetl_create_results(s)]) }}
{% endmacro %}

{# Engines that find a few keys in a large table by an index get one, where the table has none yet. #}
{% macro revetl_index_ledger(s) %}{{ return(adapter.dispatch('revetl_index_ledger', 'revetl_dbt')(s)) }}{% endmacro %}

{% macro default__revetl_index_ledger(s) %}{{ return([]) }}{% endmacro %}

{% macro postgres__revetl_index_ledger(s) %}
  {%- set statements = [] -%}
  {%- if adapter.type() == 'postgres' -%}
    {%- for relation in (s.ledger, s.rejected) -%}
      {%- do statements.append("do $$ begin if not exists (select 1 from pg_catalog.pg_index where indrelid = '" ~ relation ~ "'::regclass) then create index on "
        ~ relation ~ ' (' ~ s.key_columns | map(attribute='name') | join(', ') ~ '); end if; end $$') -%}
    {%- endfor -%}
  {%- endif -%}
  {{ return(statements) }}
{% endmacro %}


{#
  How the rows of a ledger are laid out, where the engine can lay them out by key: what a plan joins and a fold looks for. BigQuery takes up to four columns
  whose values have an order that does not depend on rounding. Snowflake would do it again and again, and be paid for it, for plans that read every row.
#}
{% macro revetl_laid_out(s) %}{{ return(adapter.dispatch('revetl_laid_out', 'revetl_dbt')(s)) }}{% endmacro %}

{% macro default__revetl_laid_out(s) %}{{ return('') }}{% endmacro %}

{% macro bigquery__revetl_laid_out(s) %}
  {%- set names = s.key_columns | rejectattr('type', 'in', ['float', 'time']) | map(attribute='name') | list -%}
  {{ return(' cluster by ' ~ names[:4] | join(', ') if names else '') }}
{% endmacro %}

{% macro redshift__revetl_laid_out(s) %}
  {%- set names = s.key_columns | map(attribute='name') | list -%}
  {{ return(' distkey (' ~ names[0] ~ ') sortkey (' ~ names | join(', ') ~ ')') }}
{% endmacro %}


{% macro revetl_create_results(s) %}
  {%- set text, big = revetl_dbt.revetl_text_type(), dbt.type_bigint() -%}
  {{ return('create table if not exists ' ~ s.results ~ ' (seq ' ~ big ~ ', status ' ~ text ~ ', id ' ~ text ~ ', code ' ~ text ~ ', message ' ~ text ~ ')') }}
{% endmacro %}


{# `renamed` is the relation with the new name, `identifier` that name alone. #}
{% macro revetl_rename(relation, renamed, identifier) %}
  {{ return(adapter.dispatch('revetl_rename', 'revetl_dbt')(relation, renamed, identifier)) }}
{% endmacro %}

{% macro default__revetl_rename(relation, renamed, identifier) %}
  {{ return('alter table ' ~ relation ~ ' rename to ' ~ api.Relation.create(identifier=identifier)) }}
{% endmacro %}

{# There a name alone would be one in the schema of the session. #}
{% macro snowflake__revetl_rename(relation, renamed, identifier) %}{{ return('alter table ' ~ relation ~ ' rename to ' ~ renamed) }}{% endmacro %}

{% macro trino__revetl_rename(relation, renamed, identifier) %}{{ return('alter table ' ~ relation ~ ' rename to ' ~ renamed) }}{% endmacro %}


{# A sync whose rows are deleted at the destination: an entry without a row has done its work. #}
{% macro revetl_forget_absent(s) %}
  {%- set absent = 'not exists (select 1 from (' ~ revetl_dbt.revetl_source(s) ~ ') as s where ' ~ revetl_dbt.revetl_on_key(s, 's', 'l') ~ ')' -%}
  {{ return(revetl_dbt.revetl_delete(s.ledger, s.key_columns | map(attribute='name') | list, absent)) }}
{% endmacro %}


{# `key` names the columns that tell the table's rows apart. #}
{% macro revetl_add_columns(relation, columns, key) %}
  {{ return(adapter.dispatch('revetl_add_columns', 'revetl_dbt')(relation, columns, key)) }}
{% endmacro %}

{% macro default__revetl_add_columns(relation, columns, key) %}
  {%- set statements = [] -%}
  {%- for column in columns %}{% do statements.append('alter table ' ~ relation ~ ' add column ' ~ column.name ~ ' ' ~ column.engine_type) %}{% endfor -%}
  {{ return(statements) }}
{% endmacro %}

{# The log has its own two columns at its end, so that every statement names the columns that it writes. #}
{% macro spark__revetl_add_columns(relation, columns, key) %}
  {%- set statements = [] -%}
  {%- for column in columns %}{% do statements.append('alter table ' ~ revetl_dbt.revetl_log(relation) ~ ' add columns (' ~ column.name ~ ' ' ~ column.engine_type ~ ')') %}{% endfor -%}
  {{ return(statements + ([revetl_dbt.revetl_log_view(relation, key)] if statements else [])) }}
{% endmacro %}

{% macro databricks__revetl_add_columns(relation, columns, key) %}{{ return(revetl_dbt.default__revetl_add_columns(relation, columns, key)) }}{% endmacro %}


{#
  Fields whose type is another now: values are kept where they can be. Where not, and `doubt` is set, their rows are never equal to the model.
#}
{% macro revetl_change_types(relation, columns, doubt, names, key) %}
  {{ return(adapter.dispatch('revetl_change_types', 'revetl_dbt')(relation, columns, doubt, names, key)) }}
{% endmacro %}

{% macro default__revetl_change_types(relation, columns, doubt, names, key) %}
  {%- set statements = [] -%}
  {%- for column in columns -%}
    {%- if doubt %}{% do statements.append(revetl_dbt.revetl_doubt_rows(relation, column.name ~ ' is not null')) %}{% endif -%}
    {%- do statements.append('alter table ' ~ relation ~ ' drop column ' ~ column.name) -%}
  {%- endfor -%}
  {{ return(statements + revetl_dbt.revetl_add_columns(relation, columns, key)) }}
{% endmacro %}

{% macro spark__revetl_change_types(relation, columns, doubt, names, key) %}
  {%- if not columns %}{{ return([]) }}{% endif -%}
  {%- set types, lost, items = {}, [], [] -%}
  {%- for column in columns -%}
    {%- do types.update({column.name: column.engine_type}) -%}
    {%- do lost.append('(' ~ column.name ~ ' is not null and try_cast(' ~ column.name ~ ' as ' ~ column.engine_type ~ ') is null)') -%}
  {%- endfor -%}
  {%- for name in names -%}
    {%- if name in types -%}{%- do items.append('try_cast(' ~ name ~ ' as ' ~ types[name] ~ ') as ' ~ name) -%}
    {%- elif name == '_standing' and doubt -%}{%- do items.append("case when _standing = 'sent' and (" ~ lost | join(' or ') ~ ") then 'unsure' else _standing end as _standing") -%}
    {%- else -%}{%- do items.append(name) -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(revetl_dbt.revetl_rewrite_log(relation, items, key)) }}
{% endmacro %}

{% macro databricks__revetl_change_types(relation, columns, doubt, names, key) %}
  {{ return(revetl_dbt.default__revetl_change_types(relation, columns, doubt, names, key)) }}
{% endmacro %}

{% macro duckdb__revetl_change_types(relation, columns, doubt, names, key) %}
  {%- set statements = [] -%}
  {%- for column in columns -%}
    {%- set kept = 'try_cast(' ~ column.name ~ ' as ' ~ column.engine_type ~ ')' -%}
    {%- if doubt %}{% do statements.append(revetl_dbt.revetl_doubt_rows(relation, column.name ~ ' is not null and ' ~ kept ~ ' is null')) %}{% endif -%}
    {%- do statements.append('alter table ' ~ relation ~ ' alter column ' ~ column.name ~ ' type ' ~ column.engine_type ~ ' using ' ~ kept) -%}
  {%- endfor -%}
  {{ return(statements) }}
{% endmacro %}

{% macro revetl_doubt_rows(relation, condition) %}
  {{ return("update " ~ relation ~ " set _standing = 'unsure' where _standing = 'sent' and " ~ condition) }}
{% endmacro %}


{#
  Put outcomes into the results table. `rows` are lists of (seq, status, id, code, message); `base64` is the same as a JSON array of arrays of text:
  one literal with nothing to quote, where the engine can take it apart.
#}
{% macro revetl_load_results(relation, rows, base64) %}
  {{ return(adapter.dispatch('revetl_load_results', 'revetl_dbt')(relation, rows, base64)) }}
{% endmacro %}

{% macro default__revetl_load_results(relation, rows, base64) %}
  {%- set lines = [] -%}
  {%- for row in rows -%}
    {%- set cells = [row[0] | string] -%}
    {%- for cell in row[1:] %}{% do cells.append(revetl_dbt.revetl_literal(cell)) %}{% endfor -%}
    {%- do lines.append('(' ~ cells | join(', ') ~ ')') -%}
  {%- endfor -%}
  {{ return('insert into ' ~ relation ~ ' (seq, status, id, code, message) values ' ~ lines | join(', ')) }}
{% endmacro %}

{% macro duckdb__revetl_load_results(relation, rows, base64) %}
  {{ return("insert into " ~ relation ~ " (seq, status, id, code, message) select cast(r[1] as bigint), r[2], r[3], r[4], r[5] from (select unnest(from_json(decode(from_base64('"
    ~ base64 ~ "')), '[[\"VARCHAR\"]]')) as r) as results") }}
{% endmacro %}

{% macro postgres__revetl_load_results(relation, rows, base64) %}
  {{ return("insert into " ~ relation ~ " (seq, status, id, code, message) select cast(r ->> 0 as bigint), r ->> 1, r ->> 2, r ->> 3, r ->> 4 from json_array_elements(convert_from(decode('"
    ~ base64 ~ "', 'base64'), 'UTF8')::json) as r") }}
{% endmacro %}

{% macro bigquery__revetl_load_results(relation, rows, base64) %}
  {{ return("insert into " ~ relation ~ " (seq, status, id, code, message) select cast(json_value(r, '$[0]') as int64), json_value(r, '$[1]'), json_value(r, '$[2]'), json_value(r, '$[3]'), json_value(r, '$[4]')"
    ~ " from unnest(json_query_array(safe_convert_bytes_to_string(from_base64('" ~ base64 ~ "')))) as r") }}
{% endmacro %}

{% macro spark__revetl_load_results(relation, rows, base64) %}
  {{ return("insert into " ~ relation ~ " (seq, status, id, code, message) select cast(r[0] as bigint), r[1], r[2], r[3], r[4] from (select explode(from_json(decode(unbase64('"
    ~ base64 ~ "'), 'utf-8'), 'array<array<string>>')) as r) as results") }}
{% endmacro %}


{% macro revetl_in_ranges(alias, ranges) -%}
  ({%- for op, seq_from, seq_to in ranges %}{{ ' or ' if not loop.first }}({{ alias }}._op = '{{ op }}' and {{ alias }}.{{ revetl_dbt.revetl_seq() }} between {{ seq_from }} and {{ seq_to }}){% endfor -%})
{%- endmacro %}


{% macro revetl_numbers(s, batch) %}
select {{ revetl_dbt.revetl_seq() }} from {{ s.plan }} as p where {{ revetl_dbt.revetl_in_ranges('p', [batch]) }} order by 1
{% endmacro %}


{#
  Fold outcomes into the ledger: of the plan rows in `ranges` (op, first, last number) those that have no other status among the results were accepted.
  `unsure` rows may have been: those that the ledger has get a standing that is never equal to the model; one that it has not may be somebody else's
  record, and stays unknown. Repeating a fold does no harm: what is inserted is deleted first. `fresh`: the ledger has none of these keys; `clean`:
  nothing was or is rejected; `doubt`: some are unsure; `replay`: the ranges may have been folded before, else none of their keys was refused in this run
  already, so that the many that were need not be gone through.
#}
{% macro revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay) %}
  {{ return(adapter.dispatch('revetl_fold', 'revetl_dbt')(s, ranges, run_id, fresh, clean, doubt, replay)) }}
{% endmacro %}

{% macro default__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay) %}
  {%- set seq = revetl_dbt.revetl_seq() -%}
  {%- set names = (s.key_columns + s.fields) | map(attribute='name') | list -%}
  {%- set kept, written = names + s.carried, [] -%}
  {%- for column in s.key_columns + s.fields %}{% do written.append(('once_' if column.write == 'on_create' else '') ~ column.name) %}{% endfor -%}
  {%- set sent -%}
select p.*, p.{{ seq }} as _number, r.id as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message
from {{ s.plan }} as p
left join {{ s.results }} as r on r.seq = p.{{ seq }}
where {{ revetl_dbt.revetl_in_ranges('p', ranges) }}
  {%- endset -%}
  {#- what is deleted or marked is found by no more than it takes: DuckDB keeps whole rows of both sides in memory, beyond its limit -#}
  {%- set fate -%}
select p.{{ s.key_columns | map(attribute='name') | join(', p.') }}, coalesce(r.status, 'accepted') as _status
from {{ s.plan }} as p
left join {{ s.results }} as r on r.seq = p.{{ seq }}
where {{ revetl_dbt.revetl_in_ranges('p', ranges) }}
  {%- endset -%}
  {%- set keep_accepted -%}
insert into {{ s.ledger }} ({{ kept | join(', ') }}, _standing, _destination_id, _run_id, _accepted_at)
select p.{{ (written + s.carried) | join(', p.') }},
  case p._op when 'clear' then 'cleared' when 'delete' then 'deleted' else 'sent' end,
  coalesce(p._new_id, p._destination_id), '{{ run_id }}', {{ revetl_dbt.revetl_now() }}
from ({{ sent }}) as p
where p._status = 'accepted'{% if s.mode != 'delete' %} and p._op <> 'delete'{% endif %}
  {%- endset -%}
  {%- set keep_rejected -%}
insert into {{ s.rejected }} ({{ names | join(', ') }}, _op, _attempts, _status, _code, _message, _run_id, _rejected_at)
select p.{{ names | join(', p.') }}, p._op, p._attempts + 1, p._status, p._code, p._message, '{{ run_id }}', {{ revetl_dbt.revetl_now() }}
from ({{ sent }}) as p
where p._status in ('rejected', 'unknown')
  {%- endset -%}
  {%- set key, same = s.key_columns | map(attribute='name') | list, revetl_dbt.revetl_on_key(s, 'l', 'p') -%}
  {%- set told = "p._status <> 'not_attempted'" ~ ('' if replay else " and l._run_id <> '" ~ run_id ~ "'") -%}
  {{ return(
    ([] if fresh else revetl_dbt.revetl_delete_found(s.ledger, key, fate, same, "p._status = 'accepted'"))
    + [keep_accepted]
    + (revetl_dbt.revetl_update_found(s.ledger, kept, key, {'_standing': "'unsure'"}, fate, same, "p._status = 'unsure'") if doubt else [])
    + ([] if clean else revetl_dbt.revetl_delete_found(s.rejected, key, fate, same, told) + [keep_rejected])
  ) }}
{% endmacro %}

{#
  One statement for the ledger, where there is no transaction around several; BigQuery runs few at a time that change the same table as well. In a merge a
  row that was accepted takes the place of the one that was, so that repeating it does no harm.
#}
{% macro bigquery__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay) %}
  {%- set seq = revetl_dbt.revetl_seq() -%}
  {%- set names = (s.key_columns + s.fields) | map(attribute='name') | list -%}
  {%- set kept, values = names + s.carried + ['_standing', '_destination_id', '_run_id', '_accepted_at'], [] -%}
  {%- for column in s.key_columns + s.fields %}{% do values.append('p.' ~ ('once_' if column.write == 'on_create' else '') ~ column.name) %}{% endfor -%}
  {%- for name in s.carried %}{% do values.append('p.' ~ name) %}{% endfor -%}
  {%- do values.extend(['p._new_standing', 'p._new_id', "'" ~ run_id ~ "'", revetl_dbt.revetl_now()]) -%}
  {%- set sent -%}
select p.*, coalesce(r.id, p._destination_id) as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message,
  case p._op when 'clear' then 'cleared' when 'delete' then 'deleted' else 'sent' end as _new_standing
from {{ s.plan }} as p
left join {{ s.results }} as r on r.seq = p.{{ seq }}
where {{ revetl_dbt.revetl_in_ranges('p', ranges) }}
  {%- endset -%}
  {%- set goes = 'false' if s.mode == 'delete' else "p._op = 'delete'" -%}
  {%- set accept -%}
merge into {{ s.ledger }} as l
using (select * from ({{ sent }}) as s where s._status in ('accepted', 'unsure')) as p
on {{ revetl_dbt.revetl_on_key(s, 'l', 'p') }}
when matched and p._status = 'unsure' then update set _standing = 'unsure'
when matched and {{ goes }} then delete
when matched then update set {% for name in kept %}{{ name }} = {{ values[loop.index0] }}{{ ', ' if not loop.last }}{% endfor %}
when not matched and p._status = 'accepted' and not ({{ goes }}) then insert ({{ kept | join(', ') }}) values ({{ values | join(', ') }})
  {%- endset -%}
  {%- set keep_rejected -%}
insert into {{ s.rejected }} ({{ names | join(', ') }}, _op, _attempts, _status, _code, _message, _run_id, _rejected_at)
select p.{{ names | join(', p.') }}, p._op, p._attempts + 1, p._status, p._code, p._message, '{{ run_id }}', {{ revetl_dbt.revetl_now() }}
from ({{ sent }}) as p
where p._status in ('rejected', 'unknown')
  {%- endset -%}
  {%- set key, told = s.key_columns | map(attribute='name') | list, "p._status <> 'not_attempted'" ~ ('' if replay else " and l._run_id <> '" ~ run_id ~ "'") -%}
  {%- set forgotten = revetl_dbt.revetl_delete_found(s.rejected, key, sent, revetl_dbt.revetl_on_key(s, 'l', 'p'), told) -%}
  {{ return([accept] + ([] if clean else forgotten + [keep_rejected])) }}
{% endmacro %}

{% macro snowflake__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay) %}
  {{ return(revetl_dbt.bigquery__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay)) }}
{% endmacro %}

{% macro trino__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay) %}
  {{ return(revetl_dbt.bigquery__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay)) }}
{% endmacro %}

{#
  On Spark one statement a table: the newest version of a row counts, that of a row that is gone says no more than its key.
#}
{% macro spark__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay) %}
  {%- set seq = revetl_dbt.revetl_seq() -%}
  {%- set key = s.key_columns | map(attribute='name') | list -%}
  {%- set names = (s.key_columns + s.fields) | map(attribute='name') | list -%}
  {%- set kept, written, same = names + s.carried, [], [] -%}
  {%- for column in s.key_columns + s.fields %}{% do written.append('p.' ~ ('once_' if column.write == 'on_create' else '') ~ column.name) %}{% endfor -%}
  {%- for name in s.carried %}{% do written.append('p.' ~ name) %}{% endfor -%}
  {%- for name in kept %}{% do same.append('l.' ~ name) %}{% endfor -%}
  {%- set sent -%}
select p.*, r.id as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message
from {{ s.plan }} as p
left join {{ s.results }} as r on r.seq = p.{{ seq }}
where {{ revetl_dbt.revetl_in_ranges('p', ranges) }}
  {%- endset -%}
  {%- set version = revetl_dbt.revetl_next_version(s.ledger) -%}
  {%- set accept -%}
insert into {{ revetl_dbt.revetl_log(s.ledger) }} ({{ kept | join(', ') }}, _standing, _destination_id, _run_id, _accepted_at, _version, _gone)
select {{ written | join(', ') }}, case p._op when 'clear' then 'cleared' when 'delete' then 'deleted' else 'sent' end,
  coalesce(p._new_id, p._destination_id), '{{ run_id }}', {{ revetl_dbt.revetl_now() }}, {{ version }}, {{ 'false' if s.mode == 'delete' else "p._op = 'delete'" }}
from ({{ sent }}) as p
where p._status = 'accepted'
  {%- if doubt %}
union all
select {{ same | join(', ') }}, 'unsure', l._destination_id, l._run_id, l._accepted_at, {{ version }}, false
from ({{ sent }}) as p
join {{ s.ledger }} as l on {{ revetl_dbt.revetl_on_key(s, 'l', 'p') }}
where p._status = 'unsure'
  {%- endif %}
  {%- endset -%}
  {%- set told = 'exists (select 1 from (' ~ sent ~ ') as p where ' ~ revetl_dbt.revetl_on_key(s, 'l', 'p') ~ " and p._status not in ('not_attempted', 'rejected', 'unknown'))" -%}
  {%- set refused -%}
select {% for name in names %}p.{{ name }}, {% endfor %}p._op, p._attempts + 1, p._status, p._code, p._message, '{{ run_id }}', {{ revetl_dbt.revetl_now() }}
from ({{ sent }}) as p
where p._status in ('rejected', 'unknown')
  {%- endset -%}
  {%- set columns = names + ['_op', '_attempts', '_status', '_code', '_message', '_run_id', '_rejected_at'] -%}
  {{ return([accept] + ([] if clean else revetl_dbt.revetl_delete(s.rejected, key, told) + revetl_dbt.revetl_insert(s.rejected, columns, refused))) }}
{% endmacro %}

{% macro databricks__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay) %}
  {{ return(revetl_dbt.bigquery__revetl_fold(s, ranges, run_id, fresh, clean, doubt, replay)) }}
{% endmacro %}


{# The lease of a sync: taken only while nobody holds it. #}
{% macro revetl_take_lease(tables, sync, account, run_id, holder, seconds) %}
  {%- set of, now = revetl_dbt.revetl_of(sync, account), revetl_dbt.revetl_now() -%}
  {%- set values = revetl_dbt.revetl_literals([sync, account, run_id, holder]) + [now, revetl_dbt.revetl_seconds_from_now(seconds)] -%}
  {%- set free = 'select ' ~ values | join(', ') ~ ' from (select 1 as one) as one where not exists (select 1 from ' ~ tables['revetl_leases'] ~ ' where ' ~ of ~ ')' -%}
  {{ return(revetl_dbt.revetl_delete_shared(tables, 'revetl_leases', of ~ ' and expires_at < ' ~ now)
    + revetl_dbt.revetl_insert(tables['revetl_leases'], ['sync', 'account', 'run_id', 'holder', 'acquired_at', 'expires_at'], free)) }}
{% endmacro %}

{% macro revetl_renew_lease(tables, sync, account, run_id, seconds) %}
  {{ return(revetl_dbt.revetl_update_shared(tables, 'revetl_leases', {'expires_at': revetl_dbt.revetl_seconds_from_now(seconds)}, revetl_dbt.revetl_of(sync, account, run_id))) }}
{% endmacro %}

{% macro revetl_drop_lease(tables, sync, account, run_id) %}
  {{ return(revetl_dbt.revetl_delete_shared(tables, 'revetl_leases', revetl_dbt.revetl_of(sync, account, run_id))) }}
{% endmacro %}

{# The condition that picks the rows of a sync and account, of one run of it where one is named. #}
{% macro revetl_of(sync, account, run_id=none) %}
  {%- set of = 'sync = ' ~ revetl_dbt.revetl_literal(sync) ~ ' and account = ' ~ revetl_dbt.revetl_literal(account) -%}
  {{ return(of ~ (' and run_id = ' ~ revetl_dbt.revetl_literal(run_id) if run_id else '')) }}
{% endmacro %}


{# History rows of what did not go smoothly, for the same ranges. #}
{% macro revetl_outcomes(s, ranges, run_id, sync, account, relation) %}
  {%- set seq = revetl_dbt.revetl_seq() -%}
  {%- set again = revetl_dbt.revetl_of(sync, account, run_id) ~ ' and seq in (select seq from ' ~ s.results ~ ')' -%}
  {%- set names = ['run_id', 'sync', 'account', 'seq', 'row_key', 'action', 'status', 'code', 'message', 'destination_id', 'attempt', 'recorded_at'] -%}
  {%- set rows -%}
select '{{ run_id }}', {{ revetl_dbt.revetl_literal(sync) }}, {{ revetl_dbt.revetl_literal(account) }}, r.seq, {{ revetl_dbt.revetl_key_text(s, 'p') }},
  p._op, r.status, r.code, r.message, coalesce(r.id, p._destination_id), p._attempts + 1, {{ revetl_dbt.revetl_now() }}
from {{ s.results }} as r
join {{ s.plan }} as p on p.{{ seq }} = r.seq
where r.status <> 'accepted'
  {%- endset -%}
  {{ return(revetl_dbt.revetl_delete(relation, revetl_dbt.revetl_shared_keys()['revetl_outcomes'], again) + revetl_dbt.revetl_insert(relation, names, rows)) }}
{% endmacro %}


{# The key as text: the value itself, or for a composite key its values with a bar between them. #}
{% macro revetl_key_text(s, alias) -%}
  {%- for key in s.key_columns %}{{ " || '|' || " if not loop.first }}coalesce(cast({{ alias }}.{{ key.name }} as {{ dbt.type_string() }}), ''){% endfor -%}
{%- endmacro %}
