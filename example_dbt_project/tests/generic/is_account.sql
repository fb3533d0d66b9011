{% test is_account(model, column_name) %}
    select children.{{ column_name }}
    from {{ model }} as children
    left join {{ ref('stg_accounts') }} as accounts on children.{{ column_name }} = accounts.account_id
    where children.{{ column_name }} is not null and accounts.account_id is null
{% endtest %}
