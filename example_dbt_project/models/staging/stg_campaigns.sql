select
    campaign_id,
    {{ clean_text('campaign_name') }} as campaign_name,
    channel,
    utm_source,
    utm_medium,
    cast(started_on as date) as started_on,
    cast(budget_usd as decimal(12, 2)) as budget_usd

from {{ ref('raw_campaigns') }}
