with accounts as (

    {{ newest(ref('raw_accounts'), 'account_id') }}

)

select
    account_id,
    {{ clean_text('account_name') }} as company_name,
    lower({{ clean_text('domain') }}) as domain,
    segment,
    cast(employees as integer) as employees,
    case upper(country) when 'UK' then 'GB' else upper(country) end as country,
    {{ utc('created_at') }} as created_at,
    cast(closed_at as date) as closed_on,
    lower(domain) = '{{ var("internal_domain") }}' as is_internal

from accounts
