-- One row a person, without our own people and test accounts.
with registrations as (

    select
        identities.person_id,
        users.*

    from {{ ref('stg_users') }} as users
    inner join {{ ref('int_identities') }} as identities on users.user_id = identities.user_id

),

activity as (

    select
        person_id,
        bool_or(deactivated_at is null) as is_active,
        max(deactivated_at) as deactivated_at

    from registrations
    group by person_id

)

select
    registrations.user_id,
    registrations.email,
    registrations.first_name,
    registrations.last_name,
    registrations.phone,
    registrations.job_title,
    registrations.is_admin,
    registrations.time_zone,
    registrations.has_consent,
    registrations.created_at,
    activity.is_active and accounts.closed_on is null as is_active,
    accounts.account_id,
    accounts.company_name,
    accounts.employees,
    accounts.country

from registrations
inner join activity on registrations.person_id = activity.person_id
left join {{ ref('stg_accounts') }} as accounts on registrations.account_id = accounts.account_id

where
    registrations.user_id = registrations.person_id
    and not coalesce(accounts.is_internal, false)
