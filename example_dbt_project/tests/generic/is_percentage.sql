{% test is_percentage(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} is null or {{ column_name }} not between 0 and 100
{% endtest %}
