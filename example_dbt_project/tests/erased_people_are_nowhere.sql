-- Whoever asked to be erased is in no mart, whatever their row said before.
with erased as (

    select distinct raw.user_id, {{ clean_email('earlier.email') }} as email
    from {{ ref('raw_users') }} as raw
    inner join {{ ref('raw_users') }} as earlier on raw.user_id = earlier.user_id
    where raw.erased = 'true' and cast(raw.loaded_on as date) <= {{ as_of() }} and earlier.email is not null

)

select email from {{ ref('sales_contacts') }} where email in (select email from erased)
union all
select email from {{ ref('marketing_contacts') }} where email in (select email from erased)
union all
select email from {{ ref('support_contacts') }} where email in (select email from erased)
