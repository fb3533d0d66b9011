with accounts as (

    select
        people.account_id,
        count(*) filter (where usage.weekly_active_days > 0) as active_users,
        count(*) filter (where usage.weekly_active_days_before > 0) as active_users_before

    from {{ ref('int_people') }} as people
    left join {{ ref('int_usage') }} as usage on people.user_id = usage.user_id

    where people.account_id is not null
    group by people.account_id

),

judged as (

    select
        accounts.*,
        billing.* exclude (account_id),
        case
            when billing.overdue_usd > 0 then 'red'
            when accounts.active_users = 0 and accounts.active_users_before > 0 then 'red'
            when accounts.active_users < accounts.active_users_before then 'yellow'
            when accounts.active_users = 0 then 'yellow'
            else 'green'
        end as account_health

    from accounts
    inner join {{ ref('int_account_billing') }} as billing on accounts.account_id = billing.account_id

)

select
    people.user_id,
    people.account_id,
    people.email,
    judged.plan,
    judged.mrr_usd,
    judged.open_invoices,
    judged.overdue_usd,
    judged.renews_on,
    judged.active_users,
    judged.active_users_before,
    judged.account_health

from {{ ref('int_people') }} as people
inner join judged on people.account_id = judged.account_id

where
    people.is_active
    and people.email is not null
