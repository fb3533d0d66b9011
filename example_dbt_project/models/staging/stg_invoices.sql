with invoices as (

    {{ newest(ref('raw_invoices'), 'invoice_id') }}

)

select
    invoices.invoice_id,
    invoices.subscription_id,
    invoices.account_id,
    invoices.status,
    {{ amount('invoices.amount_minor') }} as amount,
    invoices.currency,
    cast({{ amount('invoices.amount_minor') }} / cast(currencies.per_usd as decimal(12, 4)) as decimal(12, 2)) as amount_usd,
    cast(invoices.issued_on as date) as issued_on,
    cast(invoices.due_on as date) as due_on,
    cast(invoices.voided_on as date) as voided_on,
    invoices.status = 'open' and cast(invoices.due_on as date) < {{ as_of() }} as is_overdue

from invoices
inner join {{ ref('raw_currencies') }} as currencies on invoices.currency = currencies.currency
