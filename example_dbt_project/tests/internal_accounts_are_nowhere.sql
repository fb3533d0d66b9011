select email from {{ ref('sales_contacts') }} where email like '%@{{ var('internal_domain') }}'
union all
select email from {{ ref('marketing_contacts') }} where email like '%@{{ var('internal_domain') }}'
union all
select domain from {{ ref('sales_accounts') }} where domain = '{{ var('internal_domain') }}'
