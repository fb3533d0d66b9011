{% test is_email(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where not regexp_full_match({{ column_name }}, '[^@\sA-Z]+@[^@\sA-Z]+\.[^@\sA-Z]+')
{% endtest %}
