{#
  Tables whose rows are changed: those that all syncs share, and a sync's ledger and refused rows. `key` names the columns that tell rows apart; every macro
  that changes something returns a list of statements.

  Spark changes no row of a file: there such a table is a view on a log that only grows. The log has the columns of the table, `_version` and `_gone`; the
  view shows the newest version of each key unless it is gone. Writing the same again changes nothing, and a run that is killed leaves nothing half written.
  Logs that have grown are written anew by warehouse/compact.py.
#}

{# The key of each table that all syncs share. #}
{% macro revetl_shared_keys() %}
  {{ return({
    'revetl_syncs': ['sync', 'account'],
    'revetl_accounts': ['fingerprint'],
    'revetl_runs': ['run_id', 'sync', 'account', 'started_at'],
    'revetl_outcomes': ['run_id', 'sync', 'account', 'seq'],
    'revetl_changes': ['run_id', 'sync', 'account', 'seq', 'field'],
    'revetl_leases': ['sync', 'account', 'run_id'],
    'revetl_format': []
  }) }}
{% endmacro %}


{# `columns` are definitions: name and type. #}
{% macro revetl_create_kept(relation, columns, key, laid_out='') %}
  {{ return(adapter.dispatch('revetl_create_kept', 'revetl_dbt')(relation, columns, key, laid_out)) }}
{% endmacro %}

{% macro default__revetl_create_kept(relation, columns, key, laid_out) %}
  {{ return(['create table if not exists ' ~ relation ~ ' (' ~ columns | join(', ') ~ ')' ~ laid_out]) }}
{% endmacro %}

{% macro spark__revetl_create_kept(relation, columns, key, laid_out) %}
  {{ return([
    'create table if not exists ' ~ revetl_dbt.revetl_log(relation) ~ ' (' ~ columns | join(', ') ~ ', _version bigint, _gone boolean) ' ~ revetl_dbt.revetl_file_format(),
    revetl_dbt.revetl_log_view(relation, key)
  ]) }}
{% endmacro %}

{% macro databricks__revetl_create_kept(relation, columns, key, laid_out) %}
  {{ return(revetl_dbt.default__revetl_create_kept(relation, columns, key, laid_out)) }}
{% endmacro %}


{% macro revetl_drop_kept(relation) %}{{ return(adapter.dispatch('revetl_drop_kept', 'revetl_dbt')(relation)) }}{% endmacro %}

{# What was to take its place goes first: without the table itself it would be taken for that. #}
{% macro default__revetl_drop_kept(relation) %}
  {{ return(['drop table if exists ' ~ revetl_dbt.revetl_beside(relation, '__next'), 'drop table if exists ' ~ relation]) }}
{% endmacro %}

{% macro spark__revetl_drop_kept(relation) %}
  {{ return([
    'drop table if exists ' ~ revetl_dbt.revetl_beside(relation, '__next'),
    'drop view if exists ' ~ relation,
    'drop table if exists ' ~ revetl_dbt.revetl_log(relation)
  ]) }}
{% endmacro %}

{% macro databricks__revetl_drop_kept(relation) %}{{ return(revetl_dbt.default__revetl_drop_kept(relation)) }}{% endmacro %}


{# Give it another name; `renamed` is the relation with that name. #}
{% macro revetl_rename_kept(relation, renamed, identifier, key) %}
  {{ return(adapter.dispatch('revetl_rename_kept', 'revetl_dbt')(relation, renamed, identifier, key)) }}
{% endmacro %}

{% macro default__revetl_rename_kept(relation, renamed, identifier, key) %}{{ return([revetl_dbt.revetl_rename(relation, renamed, identifier)]) }}{% endmacro %}

{% macro spark__revetl_rename_kept(relation, renamed, identifier, key) %}
  {{ return([
    'drop table if exists ' ~ revetl_dbt.revetl_beside(relation, '__next'),
    'alter table ' ~ revetl_dbt.revetl_log(relation) ~ ' rename to ' ~ revetl_dbt.revetl_log(renamed),
    revetl_dbt.revetl_log_view(renamed, key),
    'drop view if exists ' ~ relation
  ]) }}
{% endmacro %}

{% macro databricks__revetl_rename_kept(relation, renamed, identifier, key) %}
  {{ return(['alter table ' ~ relation ~ ' rename to ' ~ renamed]) }}
{% endmacro %}


{# Put the rows of a query in. #}
{% macro revetl_insert(relation, names, query) %}{{ return(adapter.dispatch('revetl_insert', 'revetl_dbt')(relation, names, query)) }}{% endmacro %}

{% macro default__revetl_insert(relation, names, query) %}
  {{ return(['insert into ' ~ relation ~ ' (' ~ names | join(', ') ~ ')\n' ~ query]) }}
{% endmacro %}

{% macro spark__revetl_insert(relation, names, query) %}
  {{ return([
    'insert into ' ~ revetl_dbt.revetl_log(relation) ~ ' (' ~ names | join(', ') ~ ', _version, _gone)\nselect q.*, ' ~ revetl_dbt.revetl_next_version(relation)
      ~ ', false from (\n' ~ query ~ '\n) as q'
  ]) }}
{% endmacro %}

{% macro databricks__revetl_insert(relation, names, query) %}{{ return(revetl_dbt.default__revetl_insert(relation, names, query)) }}{% endmacro %}


{# Rows of `l` for which the condition is true are gone. #}
{% macro revetl_delete(relation, key, condition) %}{{ return(adapter.dispatch('revetl_delete', 'revetl_dbt')(relation, key, condition)) }}{% endmacro %}

{% macro default__revetl_delete(relation, key, condition) %}
  {{ return(['delete from ' ~ relation ~ ' where ' ~ revetl_dbt.revetl_is_such(relation, key, condition)]) }}
{% endmacro %}

{% macro duckdb__revetl_delete(relation, key, condition) %}{{ return(['delete from ' ~ relation ~ ' as l where ' ~ condition]) }}{% endmacro %}

{% macro postgres__revetl_delete(relation, key, condition) %}{{ return(revetl_dbt.duckdb__revetl_delete(relation, key, condition)) }}{% endmacro %}

{% macro bigquery__revetl_delete(relation, key, condition) %}{{ return(revetl_dbt.duckdb__revetl_delete(relation, key, condition)) }}{% endmacro %}

{% macro snowflake__revetl_delete(relation, key, condition) %}{{ return(revetl_dbt.duckdb__revetl_delete(relation, key, condition)) }}{% endmacro %}

{% macro spark__revetl_delete(relation, key, condition) %}
  {{ return([
    'insert into ' ~ revetl_dbt.revetl_log(relation) ~ ' (' ~ (key + ['_version', '_gone']) | join(', ') ~ ')\nselect '
      ~ (key + [revetl_dbt.revetl_next_version(relation), 'true']) | join(', ') ~ ' from ' ~ relation ~ ' as l where ' ~ condition
  ]) }}
{% endmacro %}

{% macro databricks__revetl_delete(relation, key, condition) %}{{ return(revetl_dbt.duckdb__revetl_delete(relation, key, condition)) }}{% endmacro %}

{#
  The condition as it is written where the table of a delete or update has no name but its own (standard SQL, Redshift's delete, Trino): the keys are
  found first, and have other names there than in the table.
#}
{% macro revetl_is_such(relation, key, condition) %}
  {%- set found, same = [], [] -%}
  {%- for name in key %}
    {%- do found.append('l.' ~ name ~ ' as _such_' ~ loop.index) -%}
    {%- do same.append('such._such_' ~ loop.index ~ ' = ' ~ name) -%}
  {%- endfor -%}
  {{ return('exists (\n  select 1 from (select ' ~ found | join(', ') ~ ' from ' ~ relation ~ ' as l where ' ~ condition ~ ') as such\n  where ' ~ same | join(' and ') ~ '\n)') }}
{% endmacro %}


{# Set columns (a dict of name to SQL) of the rows of `l` for which the condition is true; `names` are all of its columns. #}
{% macro revetl_update(relation, names, key, settings, condition) %}
  {{ return(adapter.dispatch('revetl_update', 'revetl_dbt')(relation, names, key, settings, condition)) }}
{% endmacro %}

{% macro default__revetl_update(relation, names, key, settings, condition) %}
  {{ return(['update ' ~ relation ~ ' set ' ~ revetl_dbt.revetl_settings(settings) ~ ' where ' ~ revetl_dbt.revetl_is_such(relation, key, condition)]) }}
{% endmacro %}

{% macro duckdb__revetl_update(relation, names, key, settings, condition) %}
  {{ return(['update ' ~ relation ~ ' as l set ' ~ revetl_dbt.revetl_settings(settings) ~ ' where ' ~ condition]) }}
{% endmacro %}

{% macro postgres__revetl_update(relation, names, key, settings, condition) %}
  {{ return(revetl_dbt.duckdb__revetl_update(relation, names, key, settings, condition)) }}
{% endmacro %}

{% macro bigquery__revetl_update(relation, names, key, settings, condition) %}
  {{ return(revetl_dbt.duckdb__revetl_update(relation, names, key, settings, condition)) }}
{% endmacro %}

{% macro snowflake__revetl_update(relation, names, key, settings, condition) %}
  {{ return(revetl_dbt.duckdb__revetl_update(relation, names, key, settings, condition)) }}
{% endmacro %}

{% macro spark__revetl_update(relation, names, key, settings, condition) %}
  {%- set values = [] -%}
  {%- for name in names %}{% do values.append(settings.get(name, 'l.' ~ name)) %}{% endfor -%}
  {%- set written = revetl_dbt.spark__revetl_insert(relation, names, 'select ' ~ values | join(', ') ~ ' from ' ~ relation ~ ' as l where ' ~ condition) -%}
  {#- a row with another key is another row -#}
  {%- set moved = key | select('in', settings) | list -%}
  {{ return(written + (revetl_dbt.spark__revetl_delete(relation, key, condition) if moved else [])) }}
{% endmacro %}

{% macro databricks__revetl_update(relation, names, key, settings, condition) %}
  {{ return(revetl_dbt.duckdb__revetl_update(relation, names, key, settings, condition)) }}
{% endmacro %}

{% macro revetl_settings(settings) %}
  {%- set parts = [] -%}
  {%- for name, value in settings.items() %}{% do parts.append(name ~ ' = ' ~ value) %}{% endfor -%}
  {{ return(parts | join(', ')) }}
{% endmacro %}


{# The same two for the rows of `l` that have a row `p` with their key in a query; `matched` is the condition that tells whether they have, `condition` what is asked beside. #}
{% macro revetl_delete_found(relation, key, query, matched, condition) %}
  {{ return(adapter.dispatch('revetl_delete_found', 'revetl_dbt')(relation, key, query, matched, condition)) }}
{% endmacro %}

{% macro default__revetl_delete_found(relation, key, query, matched, condition) %}
  {{ return(revetl_dbt.revetl_delete(relation, key, 'exists (\n  select 1 from (' ~ query ~ ') as p\n  where ' ~ matched ~ ' and ' ~ condition ~ '\n)')) }}
{% endmacro %}

{% macro duckdb__revetl_delete_found(relation, key, query, matched, condition) %}
  {{ return(['delete from ' ~ relation ~ ' as l\nusing (' ~ query ~ ') as p\nwhere ' ~ matched ~ ' and ' ~ condition]) }}
{% endmacro %}

{% macro postgres__revetl_delete_found(relation, key, query, matched, condition) %}
  {{ return(revetl_dbt.duckdb__revetl_delete_found(relation, key, query, matched, condition)) }}
{% endmacro %}

{% macro revetl_update_found(relation, names, key, settings, query, matched, condition) %}
  {{ return(adapter.dispatch('revetl_update_found', 'revetl_dbt')(relation, names, key, settings, query, matched, condition)) }}
{% endmacro %}

{% macro default__revetl_update_found(relation, names, key, settings, query, matched, condition) %}
  {{ return(revetl_dbt.revetl_update(relation, names, key, settings, 'exists (\n  select 1 from (' ~ query ~ ') as p\n  where ' ~ matched ~ ' and ' ~ condition ~ '\n)')) }}
{% endmacro %}

{% macro duckdb__revetl_update_found(relation, names, key, settings, query, matched, condition) %}
  {{ return(['update ' ~ relation ~ ' as l\nset ' ~ revetl_dbt.revetl_settings(settings) ~ '\nfrom (' ~ query ~ ') as p\nwhere ' ~ matched ~ ' and ' ~ condition]) }}
{% endmacro %}

{% macro postgres__revetl_update_found(relation, names, key, settings, query, matched, condition) %}
  {{ return(revetl_dbt.duckdb__revetl_update_found(relation, names, key, settings, query, matched, condition)) }}
{% endmacro %}


{# The same three for a table that all syncs share, by its name. #}
{% macro revetl_insert_shared(tables, name, values) %}
  {{ return(adapter.dispatch('revetl_insert_shared', 'revetl_dbt')(tables, name, values)) }}
{% endmacro %}

{# Not by a query, in which a null would have a type of its own. #}
{% macro default__revetl_insert_shared(tables, name, values) %}
  {{ return(['insert into ' ~ tables[name] ~ ' (' ~ values.keys() | join(', ') ~ ') values (' ~ values.values() | join(', ') ~ ')']) }}
{% endmacro %}

{# Spark and Trino take no text for a time. #}
{% macro spark__revetl_insert_shared(tables, name, values) %}
  {%- set typed = revetl_dbt.revetl_typed(name, values) -%}
  {%- set items = [] -%}
  {%- for column, value in typed.items() %}{% do items.append(value ~ ' as ' ~ column) %}{% endfor -%}
  {{ return(revetl_dbt.spark__revetl_insert(tables[name], typed.keys() | list, 'select ' ~ items | join(', '))) }}
{% endmacro %}

{% macro trino__revetl_insert_shared(tables, name, values) %}
  {{ return(revetl_dbt.default__revetl_insert_shared(tables, name, revetl_dbt.revetl_typed(name, values))) }}
{% endmacro %}

{% macro revetl_typed(name, values) %}
  {%- set typed = {} -%}
  {%- for column, type in revetl_dbt.revetl_shared_tables()[name] if column in values -%}
    {%- do typed.update({column: 'cast(' ~ values[column] ~ ' as ' ~ type ~ ')'}) -%}
  {%- endfor -%}
  {{ return(typed) }}
{% endmacro %}

{% macro databricks__revetl_insert_shared(tables, name, values) %}{{ return(revetl_dbt.default__revetl_insert_shared(tables, name, values)) }}{% endmacro %}

{% macro revetl_delete_shared(tables, name, condition) %}
  {{ return(revetl_dbt.revetl_delete(tables[name], revetl_dbt.revetl_shared_keys()[name], condition)) }}
{% endmacro %}

{% macro revetl_update_shared(tables, name, settings, condition) %}
  {%- set names = [] -%}
  {%- for column, _ in revetl_dbt.revetl_shared_tables()[name] %}{% do names.append(column) %}{% endfor -%}
  {{ return(revetl_dbt.revetl_update(tables[name], names, revetl_dbt.revetl_shared_keys()[name], settings, condition)) }}
{% endmacro %}


{# Without its rows; `kept` false for a table that holds nothing for long. #}
{% macro revetl_empty(relation, kept=true) %}{{ return(adapter.dispatch('revetl_empty', 'revetl_dbt')(relation, kept)) }}{% endmacro %}

{% macro default__revetl_empty(relation, kept) %}{{ return('delete from ' ~ relation) }}{% endmacro %}

{# No statement that changes rows, of which BigQuery lets few wait for a table. #}
{% macro bigquery__revetl_empty(relation, kept) %}{{ return('truncate table ' ~ relation) }}{% endmacro %}

{% macro spark__revetl_empty(relation, kept) %}{{ return('truncate table ' ~ (revetl_dbt.revetl_log(relation) if kept else relation)) }}{% endmacro %}

{% macro databricks__revetl_empty(relation, kept) %}{{ return('delete from ' ~ relation) }}{% endmacro %}


{# -- tables that are written anew ------------------------------------------------------------------ #}

{#
  What is written anew is made beside the old table, which is dropped then, and gets its name: killed after the old one is gone, the new one is complete,
  and warehouse/migrate.py finds it.
#}
{% macro revetl_beside(relation, suffix) %}
  {{ return(relation[:-1] ~ suffix ~ relation[-1] if relation[-1] in ['`', '"'] else relation ~ suffix) }}
{% endmacro %}

{# The name of the table that has its rows. #}
{% macro revetl_stored_as(identifier) %}{{ return(adapter.dispatch('revetl_stored_as', 'revetl_dbt')(identifier)) }}{% endmacro %}

{% macro default__revetl_stored_as(identifier) %}{{ return(identifier) }}{% endmacro %}

{% macro spark__revetl_stored_as(identifier) %}{{ return(identifier ~ '__log') }}{% endmacro %}

{% macro databricks__revetl_stored_as(identifier) %}{{ return(identifier) }}{% endmacro %}

{# Give the new one the name. #}
{% macro revetl_finish_next(relation, identifier, key) %}
  {{ return(adapter.dispatch('revetl_finish_next', 'revetl_dbt')(relation, identifier, key)) }}
{% endmacro %}

{% macro default__revetl_finish_next(relation, identifier, key) %}
  {{ return([revetl_dbt.revetl_rename(revetl_dbt.revetl_beside(relation, '__next'), relation, identifier)]) }}
{% endmacro %}

{% macro spark__revetl_finish_next(relation, identifier, key) %}
  {{ return([
    'alter table ' ~ revetl_dbt.revetl_beside(relation, '__next') ~ ' rename to ' ~ revetl_dbt.revetl_log(relation),
    revetl_dbt.revetl_log_view(relation, key)
  ]) }}
{% endmacro %}

{% macro databricks__revetl_finish_next(relation, identifier, key) %}
  {{ return(revetl_dbt.databricks__revetl_rename_kept(revetl_dbt.revetl_beside(relation, '__next'), relation, identifier, key)) }}
{% endmacro %}


{# -- logs ----------------------------------------------------------------------------------------- #}

{% macro revetl_log(relation) %}{{ return(revetl_dbt.revetl_beside(relation, '__log')) }}{% endmacro %}

{% macro revetl_log_view(relation, key) -%}
create or replace view {{ relation }} as
select * from (
  select *, row_number() over ({% if key %}partition by {{ key | join(', ') }} {% endif %}order by _version desc) as _nth from {{ revetl_dbt.revetl_log(relation) }}
) as versions
where _nth = 1 and not _gone
{%- endmacro %}

{% macro revetl_next_version(relation) %}{{ return('(select coalesce(max(_version), 0) + 1 from ' ~ revetl_dbt.revetl_log(relation) ~ ')') }}{% endmacro %}

{# Write the log anew, and let it take the place of the old one. `columns` are select items in the order of the log. #}
{% macro revetl_rewrite_log(relation, columns, key) %}
  {{ return(revetl_dbt.revetl_write_next(relation, columns + ['_version', '_gone'], revetl_dbt.revetl_log(relation)) + revetl_dbt.revetl_replace_log(relation, key)) }}
{% endmacro %}

{% macro revetl_write_next(relation, columns, source) %}
  {%- set next = revetl_dbt.revetl_beside(relation, '__next') -%}
  {{ return([
    'drop table if exists ' ~ next,
    'create table ' ~ next ~ ' ' ~ revetl_dbt.revetl_file_format() ~ ' as select ' ~ columns | join(', ') ~ ' from ' ~ source
  ]) }}
{% endmacro %}

{% macro revetl_replace_log(relation, key) %}
  {{ return(['drop table ' ~ revetl_dbt.revetl_log(relation)] + revetl_dbt.revetl_finish_next(relation, none, key)) }}
{% endmacro %}

{# How large a log is: a query for its rows and for the appends that it is made of; none where the table keeps no log. #}
{% macro revetl_log_size(relation) %}{{ return(adapter.dispatch('revetl_log_size', 'revetl_dbt')(relation)) }}{% endmacro %}

{% macro default__revetl_log_size(relation) %}{{ return(none) }}{% endmacro %}

{% macro spark__revetl_log_size(relation) %}{{ return('select count(*), coalesce(max(_version), 0) from ' ~ revetl_dbt.revetl_log(relation)) }}{% endmacro %}

{% macro databricks__revetl_log_size(relation) %}{{ return(none) }}{% endmacro %}

{# Write beside a log what its view shows, as one append: nobody else may change the table until it has taken the log's place. #}
{% macro revetl_write_compact(relation, columns) %}
  {{ return(revetl_dbt.revetl_write_next(relation, columns + ['cast(1 as bigint) as _version', 'false as _gone'], relation)) }}
{% endmacro %}

{# Spark's own default may be a format for text, which knows no types. #}
{% macro revetl_file_format() %}{{ return('using ' ~ var('revetl_file_format', 'parquet')) }}{% endmacro %}
