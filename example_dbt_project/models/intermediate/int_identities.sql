-- Registrations with the same address are one person, known by the oldest of them.
select
    user_id,
    first_value(user_id) over (partition by coalesce(email, user_id) order by created_at, user_id) as person_id

from {{ ref('stg_users') }}
