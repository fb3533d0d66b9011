delete from "analytics"."revetl"."ledger__people" where exists (
  select 1 from (select l.k_person_id as _such_1 from "analytics"."revetl"."ledger__people" as l where not exists (select 1 from (
select
  "person_id" as k_person_id,
  "E-Mail Address" as f_email,
  "order" as f_order,
  "größe" as f_size,
  "seen_at" as f_seen,
  "changed_at" as f_changed,
  json_serialize("tags") as f_tags,
  1 as _here
from "analytics"."marts"."people"
) as s where s.k_person_id = l.k_person_id)) as such
  where such._such_1 = k_person_id
);
