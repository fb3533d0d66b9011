-- Sales and billing tell the same story.
with totals as (

    select
        (select sum(mrr_usd) from {{ ref('sales_accounts') }}) as sales,
        (select sum(mrr_usd) from {{ ref('billing_customers') }}) as billing

)

select * from totals where sales is distinct from billing
