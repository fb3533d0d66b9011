{# The day that the warehouse describes, as a date literal. #}
{% macro as_of() -%}
  {%- set first = modules.datetime.datetime.strptime(var('first_day'), '%Y-%m-%d').date() -%}
  cast('{{ first + modules.datetime.timedelta(days=(var('day') | int) - 1) }}' as date)
{%- endmacro %}

{# The Monday that the current week began on: weekly figures are about the complete weeks before it. #}
{% macro this_week() -%}
  cast(date_trunc('week', {{ as_of() }}) as date)
{%- endmacro %}

{# The newest row of each key among those loaded so far: a loader appends a row again when it has changed, or by mistake. #}
{% macro newest(relation, key) -%}
  select *
  from {{ relation }}
  where cast(loaded_on as date) <= {{ as_of() }}
  qualify row_number() over (partition by {{ key }} order by loaded_on desc) = 1
{%- endmacro %}
