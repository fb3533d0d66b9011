insert into analytics.revetl.revetl_changes (run_id, sync, account, seq, row_key, action, field, old_value, new_value, destination_id, recorded_at)
with accepted as (
  select p.*, p._seq as _number, coalesce(cast(p.k_person_id as TEXT), '') as _key_text, coalesce(r.id, p._destination_id) as _id
  from analytics.revetl.plan__people as p
  left join analytics.revetl.results__people as r on r.seq = p._seq
  left join (
    select distinct seq from analytics.revetl.revetl_changes
    where run_id = 'run-1' and sync = 'people' and account = '1'
  ) as c on c.seq = p._seq
  where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900)) and coalesce(r.status, 'accepted') = 'accepted' and c.seq is null
),
changes as (
  select _number, _key_text, _op, _id, cast(null as TEXT) as field, cast(null as TEXT) as old_value, cast(null as TEXT) as new_value
  from accepted
  where _op in ('delete', 'clear')
  union all
  select p._number, p._key_text, p._op, p._id, 'email', cast(l.f_email as TEXT), cast(p.f_email as TEXT)
  from accepted as p
  left join analytics.revetl.ledger__people as l on l.k_person_id = p.k_person_id
  where p._op in ('create', 'update') and p.f_email is distinct from l.f_email
  union all
  select p._number, p._key_text, p._op, p._id, 'order', cast(l.f_order as TEXT), cast(p.f_order as TEXT)
  from accepted as p
  left join analytics.revetl.ledger__people as l on l.k_person_id = p.k_person_id
  where p._op in ('create', 'update') and p.f_order is distinct from l.f_order
  union all
  select p._number, p._key_text, p._op, p._id, 'size', cast(l.f_size as TEXT), cast(p.f_size as TEXT)
  from accepted as p
  left join analytics.revetl.ledger__people as l on l.k_person_id = p.k_person_id
  where p._op in ('create', 'update') and p.f_size is distinct from l.f_size
  union all
  select p._number, p._key_text, p._op, p._id, 'seen', cast(l.f_seen as TEXT), cast(p.f_seen as TEXT)
  from accepted as p
  left join analytics.revetl.ledger__people as l on l.k_person_id = p.k_person_id
  where p._op in ('create', 'update') and p.f_seen is distinct from l.f_seen
  union all
  select p._number, p._key_text, p._op, p._id, 'changed', cast(l.f_changed as TEXT), cast(p.f_changed as TEXT)
  from accepted as p
  left join analytics.revetl.ledger__people as l on l.k_person_id = p.k_person_id
  where p._op in ('create', 'update') and p.f_changed is distinct from l.f_changed
  union all
  select p._number, p._key_text, p._op, p._id, 'tags', cast(l.f_tags as TEXT), cast(p.f_tags as TEXT)
  from accepted as p
  left join analytics.revetl.ledger__people as l on l.k_person_id = p.k_person_id
  where p._op in ('create', 'update') and p.f_tags is distinct from l.f_tags
)
select 'run-1', 'people', '1', _number, _key_text, _op, field, old_value, new_value, _id,
  cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
from changes;
