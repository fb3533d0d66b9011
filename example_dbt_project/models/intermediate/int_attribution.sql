-- The first and the last visit of each address, with the campaign behind it.
with touches as (

    select
        touches.*,
        campaigns.campaign_name,
        coalesce(campaigns.channel, 'direct') as channel

    from {{ ref('stg_touches') }} as touches
    left join {{ ref('stg_campaigns') }} as campaigns on touches.campaign_id = campaigns.campaign_id

    where touches.email is not null

)

select
    email,
    count(*) as touches,
    first(source order by occurred_at, touch_id) as first_touch_source,
    first(channel order by occurred_at, touch_id) as first_touch_channel,
    first(campaign_name order by occurred_at, touch_id) as first_touch_campaign,
    min(occurred_at) as first_touch_at,
    last(source order by occurred_at, touch_id) as last_touch_source,
    last(channel order by occurred_at, touch_id) as last_touch_channel,
    last(campaign_name order by occurred_at, touch_id) as last_touch_campaign,
    max(occurred_at) as last_touch_at

from touches
group by email
