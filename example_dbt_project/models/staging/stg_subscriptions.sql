with subscriptions as (

    {{ newest(ref('raw_subscriptions'), 'subscription_id') }}

)

select
    subscriptions.subscription_id,
    subscriptions.account_id,
    lower(subscriptions.plan) as plan,
    subscriptions.status,
    cast(subscriptions.seats as integer) as seats,
    subscriptions.billing_interval,
    subscriptions.currency,
    {{ amount('subscriptions.unit_amount_minor') }} * cast(subscriptions.seats as integer)
        / case subscriptions.billing_interval when 'year' then 12 else 1 end as mrr,
    cast(currencies.per_usd as decimal(12, 4)) as per_usd,
    cast(subscriptions.started_on as date) as started_on,
    cast(subscriptions.canceled_on as date) as canceled_on,
    cast(subscriptions.current_period_end as date) as current_period_end

from subscriptions
inner join {{ ref('raw_currencies') }} as currencies on subscriptions.currency = currencies.currency
