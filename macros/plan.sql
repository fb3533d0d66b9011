{#
  The plan of a sync: one statement that joins the model with the ledger and keeps the differences.

  `s` describes the sync (warehouse/layout.py): model, ledger, rejected, plan (rendered relations); keys, fields (name, expression, and for a
  field: bit, word, compare, skip_null, match); words, where, mode, removed, max_attempts, match_ignores_case, full_refresh; since (which rows alone are
  looked at), limited (not all of them are).
#}

{% macro revetl_source(s) %}
select
  {%- for key in s.key_columns %}
  {{ key.expression }} as {{ key.name }},
  {%- endfor %}
  {%- for field in s.fields %}
  {{ field.expression }} as {{ field.name }},
  {%- endfor %}
  1 as _here
from {{ s.model }}
{%- if s.where %}
{#- Spark takes `where (active)` for the table's alias and that of its column. #}
where 1 = 1 and (
  {{ s.where }}
)
{%- endif %}
{%- if s.since %}
{{ 'and' if s.where else 'where' }} {{ s.since }}
{%- endif %}
{% endmacro %}


{% macro revetl_on_key(s, a, b) -%}
  {%- for key in s.key_columns %}{{ ' and ' if not loop.first }}{{ a }}.{{ key.name }} = {{ b }}.{{ key.name }}{% endfor -%}
{%- endmacro %}


{% macro revetl_field_differs(field, a, b) -%}
  {%- if field.skip_null %}({{ a }}.{{ field.name }} is not null and {{ revetl_dbt.revetl_differs(a ~ '.' ~ field.name, b ~ '.' ~ field.name) }})
  {%- else %}{{ revetl_dbt.revetl_differs(a ~ '.' ~ field.name, b ~ '.' ~ field.name) }}
  {%- endif -%}
{%- endmacro %}


{# True when a row of the model (a) is not what the ledger (b) says was accepted. #}
{% macro revetl_row_differs(s, a, b) -%}
  {%- set compared = s.fields | selectattr('compare') | list -%}
  {%- if s.full_refresh %}true
  {%- elif s.mode in ('create', 'append', 'delete') or not compared %}{{ b }}._standing <> '{{ s.standing }}'
  {%- else %}({{ b }}._standing <> '{{ s.standing }}'
    {%- for field in compared %} or {{ revetl_dbt.revetl_field_differs(field, a, b) }}{% endfor %})
  {%- endif -%}
{%- endmacro %}


{#
  One row: how many rows the model has, and 1 when every one of them is what the ledger says was accepted, and nothing else is to do. A key that is null or
  there twice makes it 0, because the ledger has each key once.
#}
{% macro revetl_probe(s) %}{{ return(adapter.dispatch('revetl_probe', 'revetl_dbt')(s)) }}{% endmacro %}

{% macro default__revetl_probe(s) %}
with source_rows as (
{{ revetl_dbt.revetl_source(s) }}
),
joined as (
  select
    s._here as s_here,
    l._standing as l_standing,
    case when s._here = 1 and l._standing is not null and {{ revetl_dbt.revetl_row_differs(s, 's', 'l') }} then 1 else 0 end as differs
  from source_rows as s
  full outer join {{ s.ledger }} as l on {{ revetl_dbt.revetl_on_key(s, 's', 'l') }}
),
counted as (
  select
    count(s_here) as model_rows,
    count(case when s_here = 1 and l_standing is null then 1 end) as new_rows,
    coalesce(sum(differs), 0) as changed_rows,
    {% if s.removed %}count(case when s_here is null and l_standing in ('{{ s.standing }}', 'unsure') then 1 end){% else %}0{% endif %} as removed_rows,
    count(case when s_here = 1 and l_standing is not null then 1 end) as matched_rows,
    (select count(*) from {{ s.ledger }}) - count(case when s_here is null then 1 end) as matched_ledger_rows
  from joined
)
select model_rows, case when new_rows + changed_rows + removed_rows = 0 and matched_rows = matched_ledger_rows then 1 else 0 end as settled
from counted
{% endmacro %}

{#
  Where the engine has a 64-bit hash of a whole row, no join: model and ledger are the same set of rows when they have as many rows and their rows' hashes
  have the same sum. The hashes are made anew for both sides in this one statement, never stored; a difference is missed with a probability of 2 ** -64.
  Everything else, removed rows that are kept among it, is left to the plan, which compares value by value.
#}
{% macro revetl_probe_by_sums(s) %}
{%- set compared = s.fields | selectattr('compare') | list -%}
{%- if s.mode in ('create', 'append', 'delete') %}{% set compared = [] %}{% endif -%}
{%- if compared | selectattr('skip_null') | list -%}
{{ revetl_dbt.default__revetl_probe(s) }}
{%- else -%}
{%- set hash = revetl_dbt.revetl_row_hash((s.key_columns + compared) | map(attribute='name') | join(', ')) -%}
with source_rows as (
{{ revetl_dbt.revetl_source(s) }}
),
model as (
  select count(*) as n, sum({{ hash }}) as h from source_rows
),
ledger as (
  select
    count(*) filter (where _standing = '{{ s.standing }}') as n,
    sum({{ hash }}) filter (where _standing = '{{ s.standing }}') as h,
    count(*) filter (where _standing = 'unsure') as doubtful
  from {{ s.ledger }}
)
select model.n, case when model.n = ledger.n and model.h is not distinct from ledger.h and ledger.doubtful = 0 then 1 else 0 end as settled
from model, ledger
{%- endif -%}
{% endmacro %}

{# DuckDB has little memory in our process, too little for a join. #}
{% macro duckdb__revetl_probe(s) %}{{ revetl_dbt.revetl_probe_by_sums(s) }}{% endmacro %}

{# Adapters that are made from that of PostgreSQL need not have its functions. #}
{% macro postgres__revetl_probe(s) %}
{{ revetl_dbt.revetl_probe_by_sums(s) if adapter.type() == 'postgres' else revetl_dbt.default__revetl_probe(s) }}
{% endmacro %}

{# A row's hash. Hashed once more, because the engines put the columns' hashes together in ways that a sum over rows would undo: two values that change places. #}
{% macro revetl_row_hash(names) %}{{ return(adapter.dispatch('revetl_row_hash', 'revetl_dbt')(names)) }}{% endmacro %}

{# Other engines compare by a join; dbt does not parse a dispatch without a default. #}
{% macro default__revetl_row_hash(names) %}{{ exceptions.raise_compiler_error('revetl_row_hash is not written for ' ~ target.type) }}{% endmacro %}

{% macro duckdb__revetl_row_hash(names) %}{{ return('hash(hash(' ~ names ~ '))') }}{% endmacro %}

{% macro postgres__revetl_row_hash(names) %}{{ return('hashint8extended(hash_record_extended(row(' ~ names ~ '), 0), 1)') }}{% endmacro %}


{% macro revetl_count(s) %}select count(*) from ({{ revetl_dbt.revetl_source(s) }}) as source_rows{% endmacro %}

{% macro revetl_drop_plan(s) %}{{ return('drop table if exists ' ~ s.plan) }}{% endmacro %}

{#
  The statements that write the plan table. `rows` is the number of rows of the model, `begun` false where the ledger is known to be empty.
#}
{% macro revetl_plan(s, rows, begun) %}{{ return(adapter.dispatch('revetl_plan', 'revetl_dbt')(s, rows, begun)) }}{% endmacro %}

{% macro default__revetl_plan(s, rows, begun) %}
{%- set statement -%}
create table {{ s.plan }} {{ revetl_dbt.revetl_plan_laid_out() }}as
with {{ revetl_dbt.revetl_plan_changes(s) }}
select row_number() over ({{ revetl_dbt.revetl_plan_order(s) or revetl_dbt.revetl_any_order() }}) as _seq, changes.*
from changes
{%- endset -%}
{{ return([statement]) }}
{% endmacro %}

{# Spark numbers no rows without an order, be it one that says nothing. #}
{% macro revetl_any_order() %}{{ return(adapter.dispatch('revetl_any_order', 'revetl_dbt')()) }}{% endmacro %}

{% macro default__revetl_any_order() %}{{ return('') }}{% endmacro %}

{% macro spark__revetl_any_order() %}{{ return('order by 1') }}{% endmacro %}


{# Where the engine can lay out rows by their number, a page is read without a scan of the plan. #}
{% macro revetl_plan_laid_out() %}{{ return(adapter.dispatch('revetl_plan_laid_out', 'revetl_dbt')()) }}{% endmacro %}

{% macro default__revetl_plan_laid_out() %}{{ return('') }}{% endmacro %}

{% macro bigquery__revetl_plan_laid_out() %}{{ return('cluster by _seq ') }}{% endmacro %}


{# Keys by the million meet in memory, not on disk; pages are found by an index that takes next to nothing, since rows stand in the order of their numbers. #}
{% macro postgres__revetl_plan(s, rows, begun) %}
{%- if adapter.type() != 'postgres' %}{{ return(revetl_dbt.default__revetl_plan(s, rows, begun)) }}{% endif -%}
{{ return(["set local work_mem = '64MB'"] + revetl_dbt.revetl_plan_by_hashes(s, 1, begun) + ['create index on ' ~ s.plan ~ ' using brin (_seq) with (pages_per_range = 16)']) }}
{% endmacro %}

{# DuckDB has little memory in our process, and groups and joins in memory: what is there twice, and what differs, is looked for part by part. #}
{% macro duckdb__revetl_plan(s, rows, begun) %}
  {{ return(revetl_dbt.revetl_plan_by_hashes(s, (rows + revetl_dbt.revetl_part_rows() - 1) // revetl_dbt.revetl_part_rows(), begun)) }}
{% endmacro %}

{# Rows of a model, or of a ledger, that make a part. #}
{% macro revetl_part_rows() %}{{ return(500000) }}{% endmacro %}

{#
  What is wide meets only what is narrow: the rows that may differ are found by a join of keys and 64-bit hashes (which takes a difference for none with a
  probability of 2 ** -64), and the plan then compares those rows value by value.
#}
{% macro revetl_plan_by_hashes(s, parts, begun) %}
{%- set statements = [] -%}
{%- set matches = revetl_dbt.revetl_match_values(s, 'source_rows') -%}
{%- set compared = s.fields | selectattr('compare') | list -%}
{%- set narrow = begun and not s.full_refresh and not (compared | selectattr('skip_null') | list) -%}
{%- do statements.extend(revetl_dbt.revetl_find_repeated(s, 'revetl_repeated_keys', s.key_columns | map(attribute='name') | list, parts)) -%}
{%- if matches -%}{%- do statements.extend(revetl_dbt.revetl_find_repeated(s, 'revetl_repeated_matches', matches, parts)) -%}{%- endif -%}
{#- two million rows a part, as long as the parts, each of which reads all of both sides, are few -#}
{%- set few = [(parts + 3) // 4, [10, (parts + 19) // 20] | max] | min -%}
{#-
  Whole rows of both sides meet part by part too; what has an order has to be sorted as a whole. Rows that are few and far between take DuckDB much memory
  when it keeps them in the order in which it finds them.
-#}
{%- set pieces = parts if narrow and parts > 1 and not revetl_dbt.revetl_plan_order(s) else 1 -%}
{%- if narrow -%}{%- do statements.extend(revetl_dbt.revetl_find_candidates(s, matches, few, pieces)) -%}{%- endif -%}
{%- if pieces > 1 -%}
  {%- set sides = 'with source_rows as not materialized (' ~ revetl_dbt.revetl_source(s) ~ ') ' ~ revetl_dbt.revetl_looked_at(s) -%}
  {%- do statements.append('set preserve_insertion_order = false') -%}
  {%- do statements.extend(revetl_dbt.revetl_temporary('revetl_looked_at', sides) + revetl_dbt.revetl_temporary('revetl_accepted', revetl_dbt.revetl_accepted(s))) -%}
{%- endif -%}
{%- for piece in range(pieces) -%}
  {%- set statement -%}
{{ 'insert into ' ~ s.plan if piece else 'create table ' ~ s.plan ~ ' as' }}
with {{ revetl_dbt.revetl_plan_changes(s, found=true, narrow=narrow, piece=piece, pieces=pieces) }}
select {{ revetl_dbt.revetl_numbered(s) }}changes.* from changes
{{ revetl_dbt.revetl_plan_order(s) }}
  {%- endset -%}
  {%- do statements.append(statement) -%}
{%- endfor -%}
{%- if pieces > 1 %}{% do statements.extend(['reset preserve_insertion_order', 'drop table revetl_looked_at', 'drop table revetl_accepted']) %}{% endif -%}
{{ return(statements) }}
{% endmacro %}

{# The rows of the model that may differ, and those of the ledger that they are compared with. #}
{% macro revetl_looked_at(s) -%}
select s.*, c._piece from source_rows as s join revetl_candidates as c on {{ revetl_dbt.revetl_on_key(s, 's', 'c') }}
  union all
  select *, 0 from source_rows where {% for key in s.key_columns %}{{ 'or ' if not loop.first }}{{ key.name }} is null {% endfor %}
{%- endmacro %}

{% macro revetl_accepted(s) -%}
select l.*, c._piece from {{ s.ledger }} as l join revetl_candidates as c on {{ revetl_dbt.revetl_on_key(s, 'l', 'c') }}
{%- endmacro %}

{# The number of a plan row, where it is a column. #}
{% macro revetl_numbered(s) %}{{ return('' if revetl_dbt.revetl_seq() == 'rowid' else 'row_number() over (' ~ revetl_dbt.revetl_plan_order(s) ~ ') as _seq, ') }}{% endmacro %}

{# A table of this transaction alone. #}
{% macro revetl_temporary(name, query) %}{{ return(adapter.dispatch('revetl_temporary', 'revetl_dbt')(name, query)) }}{% endmacro %}

{% macro default__revetl_temporary(name, query) %}{{ exceptions.raise_compiler_error('revetl_temporary is not written for ' ~ target.type) }}{% endmacro %}

{% macro duckdb__revetl_temporary(name, query) %}{{ return(['create or replace temporary table ' ~ name ~ ' as ' ~ query]) }}{% endmacro %}

{% macro postgres__revetl_temporary(name, query) %}
  {{ return(['create temporary table ' ~ name ~ ' on commit drop as ' ~ query] + revetl_dbt.revetl_counted(name)) }}
{% endmacro %}

{# The values (SQL expressions over the source) that more than one row has, into a temporary table, found in so many parts. #}
{% macro revetl_find_repeated(s, name, values, parts) %}
  {%- set named = [] -%}
  {%- for value in values %}{% do named.append(value ~ ' as m_' ~ loop.index) %}{% endfor -%}
  {%- set source = 'with source_rows as (' ~ revetl_dbt.revetl_source(s) ~ ') select ' ~ named | join(', ') ~ ', count(*) as _rows from source_rows' -%}
  {%- set repeated = ' group by ' ~ values | join(', ') ~ ' having count(*) > 1' -%}
  {%- if parts == 1 %}{{ return(revetl_dbt.revetl_temporary(name, source ~ repeated)) }}{% endif -%}
  {%- set statements = revetl_dbt.revetl_temporary(name, source ~ ' where 1 = 0' ~ repeated) -%}
  {%- for part in range(parts) -%}
    {%- do statements.append('insert into ' ~ name ~ ' ' ~ source ~ ' where hash(' ~ values | join(', ') ~ ') % ' ~ parts ~ ' = ' ~ part ~ repeated) -%}
  {%- endfor -%}
  {{ return(statements) }}
{% endmacro %}

{#
  The keys of rows that the ledger does not have as they are, and of those that share a key or match value with another, each once, into a temporary table,
  found in so many parts; with the piece of the plan that each belongs to.

  Rows that stand together in the ledger are one piece: DuckDB keeps in memory where in a stretch of a table rows were deleted, so that a fold must not
  delete a few everywhere.
#}
{% macro revetl_find_candidates(s, matches, parts, pieces) %}
{%- set names = s.key_columns | map(attribute='name') | list -%}
{%- set keys = names | join(', ') -%}
{%- set compared = s.fields | selectattr('compare') | map(attribute='name') | list -%}
{%- if s.mode in ('create', 'append', 'delete') %}{% set compared = [] %}{% endif -%}
{%- set hash = revetl_dbt.revetl_row_hash((['1'] + compared) | join(', ')) -%}
{%- set anywhere = 'hash(' ~ keys ~ ') % ' ~ pieces if pieces > 1 else '0' -%}
{%- set repeated -%}
select {{ keys }}, cast({{ anywhere }} as {{ dbt.type_int() }}) as _piece
from (select {% for name in names %}m_{{ loop.index }} as {{ name }}{{ ', ' if not loop.last }}{% endfor %} from revetl_repeated_keys) as repeated
{%- endset -%}
{%- set once %} not exists (select 1 from revetl_repeated_keys as r where {% for name in names %}{{ ' and ' if not loop.first }}r.m_{{ loop.index }} = model.{{ name }}{% endfor %}){% endset -%}
{%- set statements = revetl_dbt.revetl_temporary('revetl_candidates', repeated) -%}
{%- if s.limited -%}
  {#- few rows are looked at: each may differ, and the ledger is not gone through to find out -#}
  {%- do statements.append('insert into revetl_candidates select ' ~ keys ~ ', ' ~ anywhere ~ ' from (' ~ revetl_dbt.revetl_source(s) ~ ') as model where' ~ once) -%}
  {{ return(statements + revetl_dbt.revetl_counted('revetl_candidates')) }}
{%- endif -%}
{%- set model -%}
select {{ keys }}, {{ hash }} as h, {{ 'm.m_1 is not null' if matches else '1 = 0' }} as shared
from ({{ revetl_dbt.revetl_source(s) }}) as source_rows
{%- if matches %}
left join revetl_repeated_matches as m on {% for match in matches %}{{ ' and ' if not loop.first }}m.m_{{ loop.index }} = {{ match }}{% endfor %}
{%- endif %}
{%- endset -%}
{%- set ledger -%}
select {{ keys }}, _standing, {{ hash }} as h, {{ 'rowid' if pieces > 1 else '0' }} as place from {{ s.ledger }}
{%- endset -%}
{%- if parts > 1 -%}
  {#- each part looks at all of both sides: at what is narrow by then -#}
  {%- do statements.extend(revetl_dbt.revetl_temporary('revetl_model_hashes', model) + revetl_dbt.revetl_temporary('revetl_ledger_hashes', ledger)) -%}
  {%- set model, ledger = 'select * from revetl_model_hashes', 'select * from revetl_ledger_hashes' -%}
{%- endif -%}
{%- for part in range(parts) -%}
  {%- set own = ' where hash(' ~ keys ~ ') % ' ~ parts ~ ' = ' ~ part if parts > 1 else '' -%}
  {%- set differing -%}
insert into revetl_candidates
with model as (
  {{ model }}{{ own }}{{ revetl_dbt.revetl_fence() }}
),
ledger as (
  {{ ledger }}{{ own }}{{ revetl_dbt.revetl_fence() }}
)
select {% for name in names %}model.{{ name }}, {% endfor %}
  {%- if pieces > 1 %}coalesce(ledger.place // {{ revetl_dbt.revetl_part_rows() }}, hash(model.{{ names | join(', model.') }})) % {{ pieces }}{% else %}0{% endif %}
from model
left join ledger on {{ revetl_dbt.revetl_on_key(s, 'model', 'ledger') }}
where (model.shared or ledger._standing is null or ledger._standing <> '{{ s.standing }}' or model.h <> ledger.h)
  and{{ once }}
  {%- endset -%}
  {%- do statements.append(differing) -%}
{%- endfor -%}
{%- if parts > 1 %}{% do statements.extend(['drop table revetl_model_hashes', 'drop table revetl_ledger_hashes']) %}{% endif -%}
{{ return(statements + revetl_dbt.revetl_counted('revetl_candidates')) }}
{% endmacro %}

{# What an engine has to be told of a temporary table that was filled. #}
{% macro revetl_counted(name) %}{{ return(adapter.dispatch('revetl_counted', 'revetl_dbt')(name)) }}{% endmacro %}

{% macro default__revetl_counted(name) %}{{ return([]) }}{% endmacro %}

{% macro postgres__revetl_counted(name) %}{{ return(['analyze ' ~ name]) }}{% endmacro %}

{# What keeps an engine from carrying whole rows into a join to make their hashes there. #}
{% macro revetl_fence() %}{{ return(adapter.dispatch('revetl_fence', 'revetl_dbt')()) }}{% endmacro %}

{% macro default__revetl_fence() %}{{ return('') }}{% endmacro %}

{% macro postgres__revetl_fence() %}{{ return(' offset 0') }}{% endmacro %}

{# The match values of a row, as they are compared; none where the key stands for them. #}
{% macro revetl_match_values(s, alias) %}
  {%- set values = [] -%}
  {%- if not s.match_is_key -%}
    {%- for field in s.fields if field.match %}{% do values.append(revetl_dbt.revetl_match_value(s, field, alias)) %}{% endfor -%}
  {%- endif -%}
  {{ return(values) }}
{% endmacro %}

{# Only what must arrive in order is sorted. #}
{% macro revetl_plan_order(s) -%}
  {%- if s.mode == 'append' %}order by {{ s.key_columns | map(attribute='name') | join(', ') }}{% endif -%}
{%- endmacro %}


{#
  The plan's rows. `found`: what is there twice stands in temporary tables already; `narrow`: only rows with a key among the candidates are looked at, and
  where there are several `pieces`, those of one of them, out of temporary tables; the first has what was removed.
#}
{% macro revetl_plan_changes(s, found=false, narrow=false, piece=0, pieces=1) %}
{%- set first_key = s.key_columns[0].name -%}
{%- set keys = s.key_columns | map(attribute='name') | join(', ') -%}
{%- set matches = s.fields | selectattr('match') | list -%}
{%- set own_match = matches and not s.match_is_key -%}
{#- a field that is written on create stays in the ledger as it was written then -#}
{%- set once = s.fields | selectattr('write', 'equalto', 'on_create') | list -%}
source_rows as {{ 'not materialized ' if found }}(
{{ revetl_dbt.revetl_source(s) }}
),

repeated_keys as (
  {%- if found %}
  select {% for key in s.key_columns %}m_{{ loop.index }} as {{ key.name }}, {% endfor %}_rows from revetl_repeated_keys
  {%- else %}
  select {{ keys }}, count(*) as _rows from source_rows group by {{ keys }} having count(*) > 1
  {%- endif %}
),
{% if own_match %}
repeated_matches as (
  {%- if found %}
  select * from revetl_repeated_matches
  {%- else %}
  select {% for field in matches %}{{ revetl_dbt.revetl_match_value(s, field, 'source_rows') }} as m_{{ loop.index }}, {% endfor %}count(*) as _rows
  from source_rows
  group by {% for field in matches %}{{ revetl_dbt.revetl_match_value(s, field, 'source_rows') }}{{ ', ' if not loop.last }}{% endfor %}
  having count(*) > 1
  {%- endif %}
),
{% endif %}
{%- if narrow %}
{%- set own = ' where _piece = ' ~ piece %}
looked_at as not materialized (
  {{ 'select * from revetl_looked_at' ~ own if pieces > 1 else revetl_dbt.revetl_looked_at(s) }}
),
accepted as not materialized (
  {{ 'select * from revetl_accepted' ~ own if pieces > 1 else revetl_dbt.revetl_accepted(s) }}
),
{% endif %}
judged as (
  select
    s.*,
    case
      when {% for key in s.key_columns %}{{ 'or ' if not loop.first }}s.{{ key.name }} is null {% endfor %}then 'null_key'
      when d._rows is not null then 'duplicate_key'
      {%- if matches %}
      when {% for field in matches %}{{ 'or ' if not loop.first }}s.{{ field.name }} is null {% endfor %}then 'null_match'
      {%- endif %}
      {%- if own_match %}
      when m._rows is not null then 'duplicate_match'
      {%- endif %}
    end as _invalid
  from {{ 'looked_at' if narrow else 'source_rows' }} as s
  left join repeated_keys as d on {{ revetl_dbt.revetl_on_key(s, 's', 'd') }}
  {%- if own_match %}
  left join repeated_matches as m on {% for field in matches %}{{ ' and ' if not loop.first }}m.m_{{ loop.index }} = {{ revetl_dbt.revetl_match_value(s, field, 's') }}{% endfor %}
  {%- endif %}
),

differences as (
  {# rows of the model that the destination does not have as they are, and rows that cannot go #}
  select
    case when s._invalid is not null then 'invalid' when l.{{ first_key }} is null then '{{ s.first_op }}' else '{{ s.later_op }}' end as _op,
    s._invalid as _reason,
    l._destination_id,
    {%- for word in range(s.words) %}
    case when l.{{ first_key }} is not null and l._standing = '{{ s.standing }}' then cast(
      {%- if s.full_refresh %}null
      {%- else %}0{% for field in s.fields if field.compare and field.word == word %} + case when {{ revetl_dbt.revetl_field_differs(field, 's', 'l') }} then {{ field.bit }} else 0 end{% endfor %}
      {%- endif %} as {{ dbt.type_bigint() }}) end as _changed_{{ word }},
    {%- endfor %}
    {%- for key in s.key_columns %}
    s.{{ key.name }},
    {%- endfor %}
    {%- for field in s.fields %}
    {% if field.skip_null %}coalesce(s.{{ field.name }}, l.{{ field.name }}){% else %}s.{{ field.name }}{% endif %} as {{ field.name }}{{ ',' if not loop.last }}
    {%- endfor %}
    {%- for field in once %},
    case when l.{{ first_key }} is null then s.{{ field.name }} else l.{{ field.name }} end as once_{{ field.name }}
    {%- endfor %}
    {%- for name in s.carried %},
    l.{{ name }}
    {%- endfor %}
  from judged as s
  left join {{ 'accepted' if narrow else s.ledger }} as l on {{ revetl_dbt.revetl_on_key(s, 's', 'l') }}
  where s._invalid is not null or l.{{ first_key }} is null or {{ revetl_dbt.revetl_row_differs(s, 's', 'l') }}
  {%- if s.removed and piece == 0 %}

  union all
  {# rows that the destination has from us, and that the model no longer has #}
  select
    '{{ s.removed }}',
    cast(null as {{ dbt.type_string() }}),
    l._destination_id,
    {%- for word in range(s.words) %}
    cast(null as {{ dbt.type_bigint() }}),
    {%- endfor %}
    {%- for key in s.key_columns %}
    l.{{ key.name }},
    {%- endfor %}
    {%- for field in s.fields %}
    {% if field.match %}l.{{ field.name }}{% else %}case when 1 = 0 then l.{{ field.name }} end{% endif %}{{ ',' if not loop.last }}
    {%- endfor %}
    {%- for field in once %},
    l.{{ field.name }}
    {%- endfor %}
    {%- for name in s.carried %},
    l.{{ name }}
    {%- endfor %}
  from {{ s.ledger }} as l
  left join source_rows as s on {{ revetl_dbt.revetl_on_key(s, 's', 'l') }}
  where s._here is null and l._standing in ('sent', 'unsure')
    {%- if own_match %}
    {# a record that another row of the model matches is that row's now #}
    and not exists (
      select 1 from source_rows as t
      where {% for field in matches %}{{ ' and ' if not loop.first }}{{ revetl_dbt.revetl_match_value(s, field, 't') }} = {{ revetl_dbt.revetl_match_value(s, field, 'l') }}{% endfor %}
    )
    {%- endif %}
  {%- endif %}
),

changes as (
  {# a row that was rejected as it is now, often enough, or that may have arrived, is held until it changes; one that goes once only, whatever changes #}
  select
    case when {{ revetl_dbt.revetl_is_held('r', s.max_attempts) }} then 'held' else d._op end as _op,
    case when {{ revetl_dbt.revetl_is_held('r', s.max_attempts) }} then d._op else d._reason end as _reason,
    coalesce(r._attempts, 0) as _attempts,
    d._destination_id,
    {%- for word in range(s.words) %}
    d._changed_{{ word }},
    {%- endfor %}
    {%- for key in s.key_columns %}
    d.{{ key.name }},
    {%- endfor %}
    {%- for field in s.fields %}
    d.{{ field.name }}{{ ',' if not loop.last }}
    {%- endfor %}
    {%- for field in once %},
    d.once_{{ field.name }}
    {%- endfor %}
    {%- for name in s.carried %},
    d.{{ name }}
    {%- endfor %}
  from differences as d
  left join {{ s.rejected }} as r
    on {{ revetl_dbt.revetl_on_key(s, 'd', 'r') }}
    and r._op = d._op
    and ({{ "r._status = 'unknown' or " if s.mode in ('create', 'append') }}{% for field in s.fields %}{{ '\n      and ' if not loop.first }}not ({{ revetl_dbt.revetl_differs('d.' ~ field.name, 'r.' ~ field.name) }}){% endfor %})
)
{% endmacro %}


{% macro revetl_match_value(s, field, alias) -%}
  {%- if s.match_ignores_case and field.type == 'text' %}lower(trim({{ alias }}.{{ field.name }})){% else %}{{ alias }}.{{ field.name }}{% endif -%}
{%- endmacro %}


{# Rows of the plan by operation and reason with the range of their numbers, and the sizes of model and ledger. #}
{% macro revetl_plan_summary(s) %}
select _op, _reason, count(*) as n, min({{ revetl_dbt.revetl_seq() }}) as seq_from, max({{ revetl_dbt.revetl_seq() }}) as seq_to
from {{ s.plan }}
group by 1, 2
union all
select 'model_rows', null, count(*), null, null from ({{ revetl_dbt.revetl_source(s) }}) as source_rows
union all
select 'ledger_rows', null, count(*), null, null from {{ s.ledger }} where _standing = 'sent'
union all
select 'rejected_rows', null, count(*), null, null from {{ s.rejected }}
{% endmacro %}


{# One page of the plan: the rows of an operation with seq_from < number <= seq_to, in order. #}
{% macro revetl_page(s, op, seq_from, seq_to) %}
select
  {{ revetl_dbt.revetl_seq() }},
  _destination_id,
  {%- for word in range(s.words) %}
  _changed_{{ word }},
  {%- endfor %}
  {%- for key in s.key_columns %}
  {{ revetl_dbt.revetl_read_column(key.name, key.type) }},
  {%- endfor %}
  {%- for field in s.fields %}
  {{ revetl_dbt.revetl_read_column(field.name, field.type) }}{{ ',' if not loop.last }}
  {%- endfor %}
from {{ s.plan }}
where _op = '{{ op }}' and {{ revetl_dbt.revetl_seq() }} > {{ seq_from }} and {{ revetl_dbt.revetl_seq() }} <= {{ seq_to }}
order by {{ revetl_dbt.revetl_seq() }}
{% endmacro %}


{#
  The same page with each record as one JSON text, where the engine can write it: number, destination id, record. `names` are the fields' names in the
  record. A record is null when a value of it has no representation in JSON.
#}
{% macro revetl_json_page(s, op, names, seq_from, seq_to) %}
select {{ revetl_dbt.revetl_seq() }}, _destination_id, {{ revetl_dbt.revetl_json_record(s, names) }}
from {{ s.plan }}
where _op = '{{ op }}' and {{ revetl_dbt.revetl_seq() }} > {{ seq_from }} and {{ revetl_dbt.revetl_seq() }} <= {{ seq_to }}
order by {{ revetl_dbt.revetl_seq() }}
{% endmacro %}


{# The first rows of the plan (or those of a key) with the values that the ledger has for them, for a person to look at. #}
{% macro revetl_plan_sample(s, limit_each, key=none) %}
select * from (
  select
    p._op,
    p._reason,
    {%- for word in range(s.words) %}
    p._changed_{{ word }},
    {%- endfor %}
    {%- for key in s.key_columns %}
    {{ revetl_dbt.revetl_read_column('p.' ~ key.name, key.type) }} as {{ key.name }},
    {%- endfor %}
    {%- for field in s.fields %}
    {{ revetl_dbt.revetl_read_column('p.' ~ field.name, field.type) }} as n_{{ loop.index }},
    {{ revetl_dbt.revetl_read_column('l.' ~ field.name, field.type) }} as o_{{ loop.index }},
    {%- endfor %}
    row_number() over (partition by p._op, p._reason order by {% for key in s.key_columns %}p.{{ key.name }}{{ ', ' if not loop.last }}{% endfor %}) as _nth
  from {{ s.plan }} as p
  left join {{ s.ledger }} as l on {{ revetl_dbt.revetl_on_key(s, 'p', 'l') }}
  {%- if key is not none %}
  where {{ revetl_dbt.revetl_key_text(s, 'p') }} = {{ revetl_dbt.revetl_literal(key) }}
  {%- endif %}
) as ranked
where _nth <= {{ limit_each }}
order by _op, _reason, _nth
{% endmacro %}
