with events as (

    {{ newest(ref('raw_events'), 'event_id') }}

),

typed as (

    select
        cast(event_id as bigint) as event_id,
        user_id,
        lower(trim(event, e' \t')) as event,
        -- An old client writes epoch milliseconds.
        case
            when regexp_full_match(occurred_at, '[0-9]{13}') then epoch_ms(try_cast(occurred_at as bigint))
            else try_cast(occurred_at as timestamptz) at time zone 'UTC'
        end as occurred_at

    from events

)

select
    *,
    case event
        when 'board_viewed' then 'boards'
        when 'task_created' then 'tasks'
        when 'task_completed' then 'tasks'
        when 'comment_added' then 'comments'
        when 'file_uploaded' then 'files'
        when 'report_viewed' then 'reports'
        when 'timeline_opened' then 'timeline'
        when 'automation_run' then 'automations'
        when 'teammate_invited' then 'invitations'
        when 'integration_connected' then 'integrations'
        when 'api_key_created' then 'api'
    end as feature

from typed
