{% test is_customer_stage(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} is null or {{ column_name }} not in ('subscriber', 'lead', 'user', 'customer', 'former')
{% endtest %}
