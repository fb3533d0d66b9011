{% test is_account_health(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} is null or {{ column_name }} not in ('green', 'yellow', 'red')
{% endtest %}
