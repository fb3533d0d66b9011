-- Everyone whose address is known: people who have registered, and people who have only sent a form.
with forms as (

    select
        email,
        last(first_name order by submitted_at, submission_id) as first_name,
        last(last_name order by submitted_at, submission_id) as last_name,
        last(has_consent order by submitted_at, submission_id) as has_consent,
        last(form order by submitted_at, submission_id) as last_form,
        bool_or(form = 'contact_sales') as asked_for_sales,
        bool_or(form <> 'newsletter') as asked_for_more

    from {{ ref('stg_form_submissions') }}
    group by email

),

registered as (

    select
        people.*,
        billing.plan

    from {{ ref('int_people') }} as people
    left join {{ ref('int_account_billing') }} as billing on people.account_id = billing.account_id

    where people.email is not null

),

contacts as (

    select
        coalesce(registered.email, forms.email) as email,
        registered.user_id,
        coalesce(registered.first_name, forms.first_name) as first_name,
        coalesce(registered.last_name, forms.last_name) as last_name,
        registered.country,
        coalesce(registered.has_consent, forms.has_consent) as has_consent,
        forms.last_form,
        case
            when registered.user_id is null and forms.asked_for_more then 'lead'
            when registered.user_id is null then 'subscriber'
            when not registered.is_active then 'former'
            when coalesce(registered.plan, 'free') <> 'free' then 'customer'
            else 'user'
        end as customer_stage,
        coalesce(forms.asked_for_sales, false) as asked_for_sales

    from registered
    full outer join forms on registered.email = forms.email

)

select
    contacts.email,
    contacts.user_id,
    contacts.first_name,
    contacts.last_name,
    contacts.country,
    contacts.has_consent,
    contacts.last_form,
    contacts.customer_stage,
    case
        when contacts.customer_stage = 'customer' then 'customer'
        when contacts.customer_stage = 'former' then 'other'
        when contacts.asked_for_sales then 'salesqualifiedlead'
        when contacts.customer_stage = 'user' then 'marketingqualifiedlead'
        else contacts.customer_stage
    end as lifecycle_stage,
    coalesce(attribution.touches, 0) as touches,
    attribution.first_touch_source,
    attribution.first_touch_channel,
    attribution.first_touch_campaign,
    attribution.first_touch_at,
    attribution.last_touch_source,
    attribution.last_touch_channel,
    attribution.last_touch_campaign,
    attribution.last_touch_at

from contacts
left join {{ ref('int_attribution') }} as attribution on contacts.email = attribution.email
