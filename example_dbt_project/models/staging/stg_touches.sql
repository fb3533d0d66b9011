with touches as (

    {{ newest(ref('raw_touches'), 'touch_id') }}

)

select
    cast(touch_id as bigint) as touch_id,
    {{ clean_email('email') }} as email,
    {{ utc('occurred_at') }} as occurred_at,
    case
        when utm_source is null then 'direct'
        when lower(trim(utm_source, e' \t')) in ('fb', 'facebook.com') then 'facebook'
        else lower(trim(utm_source, e' \t'))
    end as source,
    coalesce(utm_medium, 'none') as medium,
    lower({{ clean_text('utm_campaign') }}) as campaign_id,
    landing_page

from touches
