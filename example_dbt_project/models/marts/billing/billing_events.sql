with events as (

    select
        'issued_' || invoice_id as id,
        'invoice_issued' as event_type,
        account_id,
        invoice_id,
        amount,
        currency,
        cast(issued_on as timestamp) as occurred_at,
        null as failure_code

    from {{ ref('stg_invoices') }}

    union all

    select
        'voided_' || invoice_id,
        'invoice_voided',
        account_id,
        invoice_id,
        amount,
        currency,
        cast(voided_on as timestamp),
        null

    from {{ ref('stg_invoices') }}
    where status = 'void'

    union all

    select
        payment_id,
        case when kind = 'refund' then 'refund_issued' else 'payment_' || status end,
        account_id,
        invoice_id,
        amount,
        currency,
        paid_at,
        failure_code

    from {{ ref('stg_payments') }}

)

select
    -- Begins with the time, so that the order of the ids is the order of the events.
    strftime(occurred_at, '%Y%m%d%H%M') || '_' || id as event_id,
    events.* exclude (id)

from events
