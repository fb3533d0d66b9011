{# The values of HubSpot's own `lifecyclestage`. #}
{% test is_lifecycle_stage(model, column_name) %}
    select {{ column_name }}
    from {{ model }}
    where
        {{ column_name }} is null
        or {{ column_name }} not in (
            'subscriber', 'lead', 'marketingqualifiedlead', 'salesqualifiedlead', 'opportunity', 'customer', 'evangelist', 'other'
        )
{% endtest %}
