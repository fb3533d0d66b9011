with payments as (

    {{ newest(ref('raw_payments'), 'payment_id') }}

)

select
    payments.payment_id,
    payments.invoice_id,
    invoices.account_id,
    payments.kind,
    payments.status,
    {{ amount('payments.amount_minor') }} as amount,
    invoices.currency,
    payments.failure_code,
    {{ utc('payments.paid_at') }} as paid_at

from payments
inner join {{ ref('stg_invoices') }} as invoices on payments.invoice_id = invoices.invoice_id
inner join {{ ref('raw_currencies') }} as currencies on invoices.currency = currencies.currency
