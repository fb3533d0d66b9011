{# The key of a sync is unique and not null, all its columns together: the key that `sync` declares, or `columns`. #}
{% test revetl_key(model, sync=none, columns=none) %}
{%- set key = columns or (revetl_dbt.revetl_declared_key(sync) if execute else ['1']) -%}
select {{ key | join(', ') }}, count(*) as n_rows
from {{ model }}
group by {{ key | join(', ') }}
having count(*) > 1{% for column in key %} or {{ column }} is null{% endfor %}
{% endtest %}
