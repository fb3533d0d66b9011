-- What each account pays and owes.
with plans as (

    select *
    from {{ ref('stg_subscriptions') }}
    where status <> 'canceled'
    qualify row_number() over (partition by account_id order by started_on desc, subscription_id desc) = 1

),

debts as (

    select
        account_id,
        count(*) as open_invoices,
        sum(amount) as balance_due,
        sum(amount_usd) filter (where is_overdue) as overdue_usd

    from {{ ref('stg_invoices') }}
    where status = 'open'
    group by account_id

)

select
    accounts.account_id,
    coalesce(plans.plan, 'free') as plan,
    plans.seats,
    plans.currency,
    plans.billing_interval,
    plans.started_on,
    plans.current_period_end as renews_on,
    cast(coalesce(plans.mrr, 0) as decimal(12, 2)) as mrr,
    cast(coalesce(plans.mrr / plans.per_usd, 0) as decimal(12, 2)) as mrr_usd,
    coalesce(debts.open_invoices, 0) as open_invoices,
    cast(coalesce(debts.balance_due, 0) as decimal(12, 2)) as balance_due,
    cast(coalesce(debts.overdue_usd, 0) as decimal(12, 2)) as overdue_usd

from {{ ref('stg_accounts') }} as accounts
left join plans on accounts.account_id = plans.account_id
left join debts on accounts.account_id = debts.account_id
