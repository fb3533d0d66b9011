-- What each person does in the product; weekly figures are about complete weeks, so that they hold still within one.
select
    identities.person_id as user_id,
    max(events.occurred_at) as last_seen_at,
    count(*) filter (where events.occurred_at >= {{ this_week() }} - 28 and events.occurred_at < {{ this_week() }}) as events_last_4_weeks,
    count(distinct cast(events.occurred_at as date)) filter (
        where events.occurred_at >= {{ this_week() }} - 7 and events.occurred_at < {{ this_week() }}
    ) as weekly_active_days,
    count(distinct cast(events.occurred_at as date)) filter (
        where events.occurred_at >= {{ this_week() }} - 14 and events.occurred_at < {{ this_week() }} - 7
    ) as weekly_active_days_before,
    list_sort(list(distinct events.feature)) as features_used

from {{ ref('stg_events') }} as events
inner join {{ ref('int_identities') }} as identities on events.user_id = identities.user_id

group by identities.person_id
