{# What is kept of single rows, for `revetl history` and `revetl show`. #}

{#
  One row for each field that was changed at the destination, and one for each record that was removed, of the plan rows in `ranges` that were accepted.
  To be run before the fold, while the ledger has the values of before; what the same run has written already is not written again.
#}
{% macro revetl_record_changes(s, ranges, run_id, sync, account, relation) %}
{%- set seq, text = revetl_dbt.revetl_seq(), dbt.type_string() -%}
{%- set names = ['run_id', 'sync', 'account', 'seq', 'row_key', 'action', 'field', 'old_value', 'new_value', 'destination_id', 'recorded_at'] -%}
{%- set rows -%}
with accepted as (
  select p.*, p.{{ seq }} as _number, {{ revetl_dbt.revetl_key_text(s, 'p') }} as _key_text, coalesce(r.id, p._destination_id) as _id
  from {{ s.plan }} as p
  left join {{ s.results }} as r on r.seq = p.{{ seq }}
  left join (
    select distinct seq from {{ relation }}
    where run_id = '{{ run_id }}' and sync = {{ revetl_dbt.revetl_literal(sync) }} and account = {{ revetl_dbt.revetl_literal(account) }}
  ) as c on c.seq = p.{{ seq }}
  where {{ revetl_dbt.revetl_in_ranges('p', ranges) }} and coalesce(r.status, 'accepted') = 'accepted' and c.seq is null
),
changes as (
  select _number, _key_text, _op, _id, cast(null as {{ text }}) as field, cast(null as {{ text }}) as old_value, cast(null as {{ text }}) as new_value
  from accepted
  where _op in ('delete', 'clear')
  {%- for field in s.fields %}
  union all
  select p._number, p._key_text, p._op, p._id, {{ revetl_dbt.revetl_literal(field.label) }}, cast(l.{{ field.name }} as {{ text }}), cast(p.{{ field.name }} as {{ text }})
  from accepted as p
  left join {{ s.ledger }} as l on {{ revetl_dbt.revetl_on_key(s, 'l', 'p') }}
  where p._op in ('create', 'update') and {{ revetl_dbt.revetl_differs('p.' ~ field.name, 'l.' ~ field.name) }}
  {%- endfor %}
)
select '{{ run_id }}', {{ revetl_dbt.revetl_literal(sync) }}, {{ revetl_dbt.revetl_literal(account) }}, _number, _key_text, _op, field, old_value, new_value, _id,
  {{ revetl_dbt.revetl_now() }}
from changes
{%- endset -%}
{{ return(revetl_dbt.revetl_insert(relation, names, rows)) }}
{% endmacro %}


{# The row of a ledger, or of a table of refused rows, with this key: its fields as text, then `columns`. #}
{% macro revetl_row_of_key(s, relation, key, columns) %}
select
  {%- for field in s.fields %}
  cast(l.{{ field.name }} as {{ dbt.type_string() }}),
  {%- endfor %}
  {{ columns | join(', ') }}
from {{ relation }} as l
where {{ revetl_dbt.revetl_key_text(s, 'l') }} = {{ revetl_dbt.revetl_literal(key) }}
{% endmacro %}


{#
  Refused rows by status and by the vendor's code: their number, the number of those that are held, one of the messages, and the `columns` of its row as text.
#}
{% macro revetl_reasons(rejected, columns, max_attempts) %}
select _status, _code, _rows, _held, _message{% for name in columns %}, cast({{ name }} as {{ dbt.type_string() }}){% endfor %}
from (
  select
    r.*,
    count(*) over (partition by _status, _code) as _rows,
    sum(case when {{ revetl_dbt.revetl_is_held('r', max_attempts) }} then 1 else 0 end) over (partition by _status, _code) as _held,
    row_number() over (partition by _status, _code order by _message) as _nth
  from {{ rejected }} as r
) as ranked
where _nth = 1
{% endmacro %}
