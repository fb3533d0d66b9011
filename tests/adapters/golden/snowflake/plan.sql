create table analytics.revetl.plan__people as
with source_rows as (
select
  "person_id" as k_person_id,
  "E-Mail Address" as f_email,
  "order" as f_order,
  "größe" as f_size,
  "seen_at" as f_seen,
  "changed_at" as f_changed,
  to_json(to_variant("tags")) as f_tags,
  1 as _here
from analytics.marts.people
),
repeated_keys as (
  select k_person_id, count(*) as _rows from source_rows group by k_person_id having count(*) > 1
),
repeated_matches as (
  select source_rows.f_email as m_1, count(*) as _rows
  from source_rows
  group by source_rows.f_email
  having count(*) > 1
),
judged as (
  select
    s.*,
    case
      when s.k_person_id is null then 'null_key'
      when d._rows is not null then 'duplicate_key'
      when s.f_email is null then 'null_match'
      when m._rows is not null then 'duplicate_match'
    end as _invalid
  from source_rows as s
  left join repeated_keys as d on s.k_person_id = d.k_person_id
  left join repeated_matches as m on m.m_1 = s.f_email
),
differences as (
  select
    case when s._invalid is not null then 'invalid' when l.k_person_id is null then 'create' else 'update' end as _op,
    s._invalid as _reason,
    l._destination_id,
    case when l.k_person_id is not null and l._standing = 'sent' then cast(0 + case when s.f_email is distinct from l.f_email then 1 else 0 end + case when s.f_order is distinct from l.f_order then 2 else 0 end + case when s.f_size is distinct from l.f_size then 4 else 0 end + case when s.f_seen is distinct from l.f_seen then 8 else 0 end + case when s.f_changed is distinct from l.f_changed then 16 else 0 end + case when s.f_tags is distinct from l.f_tags then 32 else 0 end as bigint) end as _changed_0,
    s.k_person_id,
    s.f_email as f_email,
    s.f_order as f_order,
    s.f_size as f_size,
    s.f_seen as f_seen,
    s.f_changed as f_changed,
    s.f_tags as f_tags
  from judged as s
  left join analytics.revetl.ledger__people as l on s.k_person_id = l.k_person_id
  where s._invalid is not null or l.k_person_id is null or (l._standing <> 'sent' or s.f_email is distinct from l.f_email or s.f_order is distinct from l.f_order or s.f_size is distinct from l.f_size or s.f_seen is distinct from l.f_seen or s.f_changed is distinct from l.f_changed or s.f_tags is distinct from l.f_tags)
  union all
  select
    'delete',
    cast(null as TEXT),
    l._destination_id,
    cast(null as bigint),
    l.k_person_id,
    l.f_email,
    case when 1 = 0 then l.f_order end,
    case when 1 = 0 then l.f_size end,
    case when 1 = 0 then l.f_seen end,
    case when 1 = 0 then l.f_changed end,
    case when 1 = 0 then l.f_tags end
  from analytics.revetl.ledger__people as l
  left join source_rows as s on s.k_person_id = l.k_person_id
  where s._here is null and l._standing in ('sent', 'unsure')
    and not exists (
      select 1 from source_rows as t
      where t.f_email = l.f_email
    )
),
changes as (
  select
    case when (r._status = 'unknown' or r._attempts >= 10) then 'held' else d._op end as _op,
    case when (r._status = 'unknown' or r._attempts >= 10) then d._op else d._reason end as _reason,
    coalesce(r._attempts, 0) as _attempts,
    d._destination_id,
    d._changed_0,
    d.k_person_id,
    d.f_email,
    d.f_order,
    d.f_size,
    d.f_seen,
    d.f_changed,
    d.f_tags
  from differences as d
  left join analytics.revetl.rejected__people as r
    on d.k_person_id = r.k_person_id
    and r._op = d._op
    and (not (d.f_email is distinct from r.f_email)
      and not (d.f_order is distinct from r.f_order)
      and not (d.f_size is distinct from r.f_size)
      and not (d.f_seen is distinct from r.f_seen)
      and not (d.f_changed is distinct from r.f_changed)
      and not (d.f_tags is distinct from r.f_tags))
)
select row_number() over () as _seq, changes.*
from changes;
