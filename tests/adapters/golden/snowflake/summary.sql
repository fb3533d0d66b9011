select _op, _reason, count(*) as n, min(_seq) as seq_from, max(_seq) as seq_to
from analytics.revetl.plan__people
group by 1, 2
union all
select 'model_rows', null, count(*), null, null from (
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
) as source_rows
union all
select 'ledger_rows', null, count(*), null, null from analytics.revetl.ledger__people where _standing = 'sent'
union all
select 'rejected_rows', null, count(*), null, null from analytics.revetl.rejected__people;
