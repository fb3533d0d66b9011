with submissions as (

    {{ newest(ref('raw_form_submissions'), 'submission_id') }}

),

cleaned as (

    select
        cast(submission_id as bigint) as submission_id,
        {{ clean_email('email') }} as email,
        {{ clean_text('full_name') }} as full_name,
        form,
        {{ is_yes('consent') }} as has_consent,
        {{ utc('submitted_at') }} as submitted_at

    from submissions

)

select
    * exclude (full_name),
    split_part(full_name, ' ', 1) as first_name,
    nullif(trim(substr(full_name, length(split_part(full_name, ' ', 1)) + 1)), '') as last_name

from cleaned

where email is not null and email not like '%@{{ var("internal_domain") }}'
