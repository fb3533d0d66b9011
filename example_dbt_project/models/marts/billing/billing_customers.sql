with admins as (

    select
        account_id,
        email,
        first_name,
        last_name

    from {{ ref('int_people') }}
    where email is not null and account_id is not null
    qualify row_number() over (partition by account_id order by is_active desc, is_admin desc, created_at, user_id) = 1

),

attempts as (

    select
        account_id,
        max(paid_at) filter (where status = 'succeeded') as last_paid_at,
        last(status order by paid_at, payment_id) = 'failed' as last_payment_failed

    from {{ ref('stg_payments') }}
    where kind = 'payment'
    group by account_id

)

select
    accounts.account_id,
    accounts.company_name,
    accounts.country,
    admins.email as billing_email,
    concat_ws(' ', admins.first_name, admins.last_name) as billing_name,
    billing.plan,
    billing.currency,
    billing.mrr,
    billing.mrr_usd,
    billing.balance_due,
    billing.open_invoices,
    billing.renews_on,
    {'seats': billing.seats, 'interval': billing.billing_interval, 'since': billing.started_on} as subscription,
    attempts.last_paid_at,
    coalesce(attempts.last_payment_failed, false) as last_payment_failed

from {{ ref('int_account_billing') }} as billing
inner join {{ ref('stg_accounts') }} as accounts on billing.account_id = accounts.account_id
left join admins on billing.account_id = admins.account_id
left join attempts on billing.account_id = attempts.account_id

where
    billing.plan <> 'free'
    and not accounts.is_internal
