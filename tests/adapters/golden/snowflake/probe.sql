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
joined as (
  select
    s._here as s_here,
    l._standing as l_standing,
    case when s._here = 1 and l._standing is not null and (l._standing <> 'sent' or s.f_email is distinct from l.f_email or s.f_order is distinct from l.f_order or s.f_size is distinct from l.f_size or s.f_seen is distinct from l.f_seen or s.f_changed is distinct from l.f_changed or s.f_tags is distinct from l.f_tags) then 1 else 0 end as differs
  from source_rows as s
  full outer join analytics.revetl.ledger__people as l on s.k_person_id = l.k_person_id
),
counted as (
  select
    count(s_here) as model_rows,
    count(case when s_here = 1 and l_standing is null then 1 end) as new_rows,
    coalesce(sum(differs), 0) as changed_rows,
    count(case when s_here is null and l_standing in ('sent', 'unsure') then 1 end) as removed_rows,
    count(case when s_here = 1 and l_standing is not null then 1 end) as matched_rows,
    (select count(*) from analytics.revetl.ledger__people) - count(case when s_here is null then 1 end) as matched_ledger_rows
  from joined
)
select model_rows, case when new_rows + changed_rows + removed_rows = 0 and matched_rows = matched_ledger_rows then 1 else 0 end as settled
from counted;
