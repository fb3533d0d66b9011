delete from "analytics"."revetl"."revetl_outcomes" where exists (
  select 1 from (select l.run_id as _such_1, l.sync as _such_2, l.account as _such_3, l.seq as _such_4 from "analytics"."revetl"."revetl_outcomes" as l where sync = 'people' and account = '1' and run_id = 'run-1' and seq in (select seq from "analytics"."revetl"."results__people")) as such
  where such._such_1 = run_id and such._such_2 = sync and such._such_3 = account and such._such_4 = seq
);

insert into "analytics"."revetl"."revetl_outcomes" (run_id, sync, account, seq, row_key, action, status, code, message, destination_id, attempt, recorded_at)
select 'run-1', 'people', '1', r.seq, coalesce(cast(p.k_person_id as varchar), ''),
  p._op, r.status, r.code, r.message, coalesce(r.id, p._destination_id), p._attempts + 1, cast(current_timestamp at time zone 'UTC' as timestamp(6))
from "analytics"."revetl"."results__people" as r
join "analytics"."revetl"."plan__people" as p on p._seq = r.seq
where r.status <> 'accepted';
