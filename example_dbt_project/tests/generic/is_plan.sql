{% test is_plan(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} is null or {{ column_name }} not in ('free', 'starter', 'team', 'business')
{% endtest %}
