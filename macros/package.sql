{# What the package offers to a project; see docs/guides/dbt-package.md. #}

{# The version of these files; `revetl` compares it with its own. #}
{% macro revetl_package_version() %}{{ return('0.1.0') }}{% endmacro %}

{# The schema of our tables, as warehouse/store.py names it. #}
{% macro revetl_schema() %}{{ return(var('revetl_schema', none) or target.schema ~ '_revetl') }}{% endmacro %}

{% macro revetl_relation(identifier) %}
  {{ return(api.Relation.create(database=target.database, schema=revetl_dbt.revetl_schema(), identifier=identifier)) }}
{% endmacro %}

{# Not dbt's own macro of this purpose: it begins a transaction, which nobody ends in a hook. #}
{% macro revetl_create_schema(relation) %}
  {%- set schema = relation.include(database=target.type not in ['postgres', 'redshift'], identifier=false) -%}
  {{ return('create schema if not exists ' ~ schema) }}
{% endmacro %}


{# True when a table is there. Asked without dbt's cache where that would begin a transaction, which nobody ends in a hook. #}
{% macro revetl_is_there(relation) %}{{ return(adapter.dispatch('revetl_is_there', 'revetl_dbt')(relation)) }}{% endmacro %}

{% macro default__revetl_is_there(relation) %}
  {{ return(adapter.get_relation(relation.database, relation.schema, relation.identifier) is not none) }}
{% endmacro %}

{% macro postgres__revetl_is_there(relation) %}
  {%- set schema, identifier = revetl_dbt.revetl_literal(relation.schema | lower), revetl_dbt.revetl_literal(relation.identifier | lower) -%}
  {%- set found = run_query('select 1 from information_schema.tables where lower(table_schema) = ' ~ schema ~ ' and lower(table_name) = ' ~ identifier) -%}
  {{ return(found.rows | length > 0) }}
{% endmacro %}

{% macro duckdb__revetl_is_there(relation) %}{{ return(revetl_dbt.postgres__revetl_is_there(relation)) }}{% endmacro %}


{# What a hook has dbt execute, so that it stays: the PostgreSQL driver begins a transaction by itself, and dbt ends it with the connection. #}
{% macro revetl_committed(statement) %}{{ return(adapter.dispatch('revetl_committed', 'revetl_dbt')(statement)) }}{% endmacro %}

{% macro default__revetl_committed(statement) %}{{ return(statement) }}{% endmacro %}

{% macro postgres__revetl_committed(statement) %}{{ return(statement ~ ';\ncommit') }}{% endmacro %}


{# -- for projects --------------------------------------------------------------------------------- #}

{#
  The destination's id of each key that a sync has sent, to be the body of a model, or a part of one:

      select m.*, ids.destination_id from {{ ref('sales_contacts') }} as m join {{ revetl_dbt.id_map('contacts_to_salesforce') }} as ids using (user_id)

  Columns: those of the key, `destination_id`, `accepted_at`. Empty until the sync has run, with keys as text. `account` is needed where the sync has
  written to several.
#}
{% macro id_map(sync, account=none) %}
  {%- set syncs = source('revetl', 'revetl_syncs') -%}
  {%- if not execute %}{{ return('(select 1 as destination_id)') }}{% endif -%}
  {%- set found = [] -%}
  {%- if revetl_dbt.revetl_is_there(syncs) -%}
    {%- set wanted = 'sync = ' ~ revetl_dbt.revetl_literal(sync) ~ (' and account = ' ~ revetl_dbt.revetl_literal(account) if account else '') -%}
    {%- set found = run_query('select account, ledger, layout from ' ~ syncs ~ ' where ' ~ wanted).rows -%}
  {%- endif -%}
  {%- if found | length > 1 -%}
    {%- set accounts = [] -%}
    {%- for row in found %}{% do accounts.append(row[0]) %}{% endfor -%}
    {{ exceptions.raise_compiler_error("id_map: sync `" ~ sync ~ "` has written to several accounts; name one of them with account=: " ~ accounts | join(', ')) }}
  {%- endif -%}
  {%- set columns = [] -%}
  {%- if found | length == 0 -%}
    {%- for key in revetl_dbt.revetl_declared_key(sync) %}{% do columns.append('cast(null as ' ~ dbt.type_string() ~ ') as ' ~ key) %}{% endfor -%}
    {%- set nothing = ['cast(null as ' ~ dbt.type_string() ~ ') as destination_id', 'cast(null as ' ~ dbt.type_timestamp() ~ ') as accepted_at'] -%}
    {{ return('(select * from (select ' ~ (columns + nothing) | join(', ') ~ ') as nothing where 1 = 0)') }}
  {%- endif -%}
  {%- for column in fromjson(found[0][2]).columns if column[0].startswith('k_') %}{% do columns.append(column[0] ~ ' as ' ~ column[1]) %}{% endfor -%}
  {{ return('(select ' ~ columns | join(', ') ~ ', _destination_id as destination_id, _accepted_at as accepted_at from ' ~ found[0][1]
    ~ " where _destination_id is not null and _standing <> 'deleted')") }}
{% endmacro %}

{# The key columns of a sync, as its model declares them. #}
{% macro revetl_declared_key(sync) %}
  {%- for node in graph.nodes.values() if revetl_dbt.revetl_declares(node) and sync in node.config.meta.revetl -%}
    {%- set spec = node.config.meta.revetl[sync] -%}
    {%- set key = spec.get('key') or (spec.get('match') or {}).values() | list -%}
    {{ return([key] if key is string else key) }}
  {%- endfor -%}
  {{ exceptions.raise_compiler_error("No model declares a sync `" ~ sync ~ "`") }}
{% endmacro %}


{#
  Let others read our tables, as a hook after `enqueue`: on-run-end: ["{{ revetl_dbt.enqueue(results) }}", "{{ revetl_dbt.grant_select(['reporter']) }}"]

  `ledgers`: also the ledgers and refused rows, which hold what the models hold.
#}
{% macro grant_select(grantees, ledgers=false) %}
  {%- if not execute or target.type == 'duckdb' %}{{ return('') }}{% endif -%}
  {%- set grantees = [grantees] if grantees is string else grantees -%}
  {%- set statements, shared = revetl_dbt.revetl_schema_grants(grantees), revetl_dbt.revetl_shared_tables() -%}
  {%- for relation in adapter.list_relations(database=target.database, schema=revetl_dbt.revetl_schema()) -%}
    {%- set name = relation.identifier | lower -%}
    {%- if name in shared or (ledgers and (name.startswith('ledger__') or name.startswith('rejected__'))) -%}
      {%- do statements.append(dbt.get_grant_sql(relation, 'select', grantees)) -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(revetl_dbt.revetl_executed(statements)) }}
{% endmacro %}

{% macro revetl_schema_grants(grantees) %}{{ return(adapter.dispatch('revetl_schema_grants', 'revetl_dbt')(grantees)) }}{% endmacro %}

{% macro default__revetl_schema_grants(grantees) %}
  {%- set schema = revetl_dbt.revetl_relation('any').include(database=target.type not in ['postgres', 'redshift'], identifier=false) -%}
  {{ return(['grant usage on schema ' ~ schema ~ ' to ' ~ grantees | join(', ')]) }}
{% endmacro %}

{% macro bigquery__revetl_schema_grants(grantees) %}{{ return([]) }}{% endmacro %}


{# What a hook returns to have statements executed: adapters differ in whether they take several at once. #}
{% macro revetl_executed(statements) %}
  {%- for statement in statements[:-1] %}{% do run_query(statement) %}{% endfor -%}
  {{ return(revetl_dbt.revetl_committed(statements[-1]) if statements else '') }}
{% endmacro %}
