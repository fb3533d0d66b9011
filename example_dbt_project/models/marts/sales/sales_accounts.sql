with people as (

    select
        account_id,
        count(*) filter (where is_active) as users,
        count(*) filter (where is_active and events_last_4_weeks > 0) as active_users,
        count(*) filter (where is_active and pql_grade in ('A', 'B')) as qualified_contacts,
        max(pql_score) filter (where is_active) as pql_score,
        max(last_seen_at) as last_seen_at

    from {{ ref('sales_contacts') }}
    where account_id is not null
    group by account_id

)

select
    accounts.account_id,
    accounts.company_name,
    accounts.domain,
    accounts.segment,
    accounts.employees,
    accounts.country,
    cast(accounts.created_at as date) as signed_up_on,
    billing.plan,
    billing.mrr_usd,
    billing.seats,
    billing.renews_on,
    coalesce(people.users, 0) as users,
    coalesce(people.active_users, 0) as active_users,
    coalesce(people.qualified_contacts, 0) as qualified_contacts,
    coalesce(people.pql_score, 0) as pql_score,
    people.last_seen_at

from {{ ref('stg_accounts') }} as accounts
inner join {{ ref('int_account_billing') }} as billing on accounts.account_id = billing.account_id
left join people on accounts.account_id = people.account_id

where
    not accounts.is_internal
    and accounts.closed_on is null
