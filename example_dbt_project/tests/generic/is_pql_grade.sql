{% test is_pql_grade(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} is null or {{ column_name }} not in ('A', 'B', 'C', 'D')
{% endtest %}
