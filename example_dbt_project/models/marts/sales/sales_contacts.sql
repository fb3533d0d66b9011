with scored as (

    select
        people.*,
        billing.plan,
        usage.last_seen_at,
        coalesce(usage.weekly_active_days, 0) as weekly_active_days,
        coalesce(usage.events_last_4_weeks, 0) as events_last_4_weeks,
        coalesce(usage.features_used, []) as features_used,
        -- Product-qualified lead: regular use, breadth of use, steps that a team takes before it buys, size of the company.
        least(
            100,
            8 * coalesce(usage.weekly_active_days, 0)
            + 3 * len(coalesce(usage.features_used, []))
            + case when list_contains(usage.features_used, 'invitations') then 12 else 0 end
            + case when list_contains(usage.features_used, 'integrations') then 12 else 0 end
            + case when people.employees >= 60 then 10 else 0 end
            + case when people.is_admin then 6 else 0 end
        ) as pql_score

    from {{ ref('int_people') }} as people
    left join {{ ref('int_usage') }} as usage on people.user_id = usage.user_id
    left join {{ ref('int_account_billing') }} as billing on people.account_id = billing.account_id

)

select
    user_id,
    account_id,
    email,
    phone,
    job_title,
    company_name,
    time_zone,
    is_admin,
    is_active,
    coalesce(plan, 'free') as plan,
    cast(created_at as date) as signed_up_on,
    last_seen_at,
    weekly_active_days,
    events_last_4_weeks,
    features_used,
    pql_score,
    case when pql_score >= 65 then 'A' when pql_score >= 40 then 'B' when pql_score >= 20 then 'C' else 'D' end as pql_grade

from scored
