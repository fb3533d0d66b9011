{#
  The last run of a sync for this target ended well, rejected no more than `max_rejected` rows, and is no older than `max_age_hours`, where that is given.

  A warning by default: dbt skips what is below a model with a failed test, and the sync that could mend it is below too. The gate of `revetl` ignores it.
#}
{% test revetl_healthy(model, sync, max_age_hours=none, max_rejected=0) %}
{{ config(severity='warn') }}
{%- set table = source('revetl', 'revetl_runs') -%}
{%- if execute and not revetl_dbt.revetl_is_there(table) %}
select 'it has never run' as problem
{%- else %}
with runs as (
  select status, rejected, finished_at, row_number() over (order by finished_at desc, started_at desc) as nth
  from {{ table }}
  where sync = {{ revetl_dbt.revetl_literal(sync) }} and target = {{ revetl_dbt.revetl_literal(target.name) }} and command in ('run', 'retry')
),
judged as (
  select
    case
      when count(*) = 0 then 'it has never run'
      when max(status) in ('error', 'skipped') then 'its last run failed'
      when max(rejected) > {{ max_rejected }} then 'its last run had rows rejected'
      {%- if max_age_hours is not none %}
      when max(finished_at) < {{ dbt.dateadd('hour', -max_age_hours, revetl_dbt.revetl_now()) }} then 'its last run is too old'
      {%- endif %}
    end as problem
  from runs
  where nth = 1
)
select problem from judged where problem is not null
{%- endif %}
{% endtest %}
