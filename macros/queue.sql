{#
  The queue: what dbt built, written by `enqueue` at the end of dbt's own command, taken by `revetl run --queued` or `revetl watch`.

      on-run-end: "{{ revetl_dbt.enqueue(results) }}"

  Only nodes that declare a sync are written, and the tests of them, so that whoever takes from the queue can tell whether they may be sent. What dbt
  executes is the returned statement: when the warehouse refuses it, dbt reports the hook as failed, and what was built stays built. Jinja cannot catch an
  error, and a hook that hides one would leave tools behind without anybody knowing.
#}
{% macro enqueue(results) %}
  {%- if not execute or not var('revetl_queue', true) or flags.EMPTY or flags.WHICH not in ['build', 'run', 'seed', 'snapshot', 'test', 'retry'] -%}
    {{ return('') }}
  {%- endif -%}
  {%- set rows = revetl_dbt.revetl_queue_rows(results) -%}
  {%- if not rows %}{{ return('') }}{% endif -%}
  {%- set relation = revetl_dbt.revetl_relation('revetl_queue') -%}
  {%- if not revetl_dbt.revetl_is_there(relation) -%}
    {%- do run_query(revetl_dbt.revetl_create_schema(relation)) -%}
    {%- do run_query(revetl_dbt.revetl_create_table(relation, revetl_dbt.revetl_shared_tables()['revetl_queue'])) -%}
  {%- endif -%}
  {#- several statements where there are many rows; tests come first, so that no node is ever seen without what its tests said -#}
  {%- set statements = [] -%}
  {%- for part in rows | batch(500) %}{% do statements.append(revetl_dbt.revetl_enqueue_rows(relation, part)) %}{% endfor -%}
  {{ return(revetl_dbt.revetl_executed(statements)) }}
{% endmacro %}


{# (unique id, relation, status, nodes that it tests) of each result that matters, tests first. #}
{% macro revetl_queue_rows(results) %}
  {%- set tests, built = [], [] -%}
  {%- for result in results -%}
    {%- set node, status = result.node, result.status | string | lower -%}
    {%- if node.resource_type in ['model', 'seed', 'snapshot'] and revetl_dbt.revetl_declares(node) -%}
      {%- do built.append((node.unique_id, node.relation_name, status, none)) -%}
    {%- elif node.resource_type in ['test', 'unit_test'] -%}
      {%- set tested = [] -%}
      {%- for id in node.depends_on.nodes if id in graph.nodes and revetl_dbt.revetl_declares(graph.nodes[id]) %}{% do tested.append(id) %}{% endfor -%}
      {%- if tested %}{% do tests.append((node.unique_id, none, status, tested | join(' '))) %}{% endif -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(tests + built) }}
{% endmacro %}

{% macro revetl_declares(node) %}{{ return('revetl' in (node.config.meta or {})) }}{% endmacro %}


{% macro revetl_enqueue_rows(relation, rows) %}
{%- set same = [invocation_id, flags.WHICH, target.name, revetl_dbt.revetl_package_version()] -%}
{%- set started = "cast('" ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') ~ "' as " ~ dbt.type_timestamp() ~ ')' -%}
insert into {{ relation }}
  (unique_id, relation, status, tested, invocation_id, command, target, package_version, started_at, queued_at, state, attempts)
values
{%- for row in rows %}
({{ (revetl_dbt.revetl_literals(row) + revetl_dbt.revetl_literals(same) + [started, revetl_dbt.revetl_now(), "'waiting'", '0']) | join(', ') }}){{ ',' if not loop.last }}
{%- endfor %}
{% endmacro %}


{# -- for those who take from it; each macro returns a statement ----------------------------------- #}

{# What can be taken: what waits, and what was taken by a worker whose lease is over or that is dead. #}
{% macro revetl_is_queued(worker_is_dead) -%}
(state = 'waiting' or (state = 'taken' and (leased_until < {{ revetl_dbt.revetl_now() }}
  {%- if worker_is_dead %} or worker in ({{ revetl_dbt.revetl_literals(worker_is_dead) | join(', ') }}){% endif %})))
{%- endmacro %}

{# Entries that were taken over and over, and whose workers never came to an end: something about them ends workers. #}
{% macro revetl_give_up_queued(relation, dead, attempts) %}
update {{ relation }} set state = 'failed', finished_at = {{ revetl_dbt.revetl_now() }}, message = 'taken {{ attempts }} times, and no worker came to its end'
where state = 'taken' and attempts >= {{ attempts }} and {{ revetl_dbt.revetl_is_queued(dead) }}
{% endmacro %}

{% macro revetl_take_queued(relation, target, worker, dead, seconds) %}
update {{ relation }}
set state = 'taken', worker = {{ revetl_dbt.revetl_literal(worker) }}, attempts = attempts + 1,
  leased_until = {{ dbt.dateadd('second', seconds, revetl_dbt.revetl_now()) }}
where target = {{ revetl_dbt.revetl_literal(target) }} and {{ revetl_dbt.revetl_is_queued(dead) }}
{% endmacro %}

{% macro revetl_renew_queued(relation, worker, seconds) %}
update {{ relation }} set leased_until = {{ dbt.dateadd('second', seconds, revetl_dbt.revetl_now()) }}
where state = 'taken' and worker = {{ revetl_dbt.revetl_literal(worker) }}
{% endmacro %}

{# `ids`: the nodes whose entries ended so; what the worker has not taken, or has lost, stays as it is. #}
{% macro revetl_finish_queued(relation, worker, ids, state, run_id, message) %}
update {{ relation }}
set state = {{ revetl_dbt.revetl_literal(state) }}, run_id = {{ revetl_dbt.revetl_literal(run_id) }}, message = {{ revetl_dbt.revetl_literal(message) }},
  leased_until = null, finished_at = {{ revetl_dbt.revetl_now() }}
where state = 'taken' and worker = {{ revetl_dbt.revetl_literal(worker) }} and unique_id in ({{ revetl_dbt.revetl_literals(ids) | join(', ') }})
{% endmacro %}

{% macro revetl_give_back_queued(relation, worker) %}
update {{ relation }} set state = 'waiting', worker = null, leased_until = null, attempts = attempts - 1
where state = 'taken' and worker = {{ revetl_dbt.revetl_literal(worker) }}
{% endmacro %}

{% macro revetl_clean_queue(relation, days) %}
delete from {{ relation }} where state in ('done', 'skipped', 'failed') and finished_at < {{ dbt.dateadd('day', -days, revetl_dbt.revetl_now()) }}
{% endmacro %}
