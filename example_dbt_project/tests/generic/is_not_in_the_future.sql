{% test is_not_in_the_future(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} >= {{ as_of() }} + interval 1 day
{% endtest %}
