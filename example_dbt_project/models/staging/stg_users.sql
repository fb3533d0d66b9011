with users as (

    {{ newest(ref('raw_users'), 'user_id') }}

)

select
    user_id,
    account_id,
    {{ clean_email('email') }} as email,
    {{ clean_text('first_name') }} as first_name,
    {{ clean_text('last_name') }} as last_name,
    {{ clean_text('phone') }} as phone,
    {{ clean_text('job_title') }} as job_title,
    role = 'admin' as is_admin,
    time_zone,
    {{ is_yes('marketing_opt_in') }} as has_consent,
    {{ utc('created_at') }} as created_at,
    {{ utc('deactivated_at') }} as deactivated_at

from users

-- A person who asked to be erased leaves an empty row behind.
where not {{ is_yes('erased') }}
