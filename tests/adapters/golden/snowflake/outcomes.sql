delete from analytics.revetl.revetl_outcomes as l where sync = 'people' and account = '1' and run_id = 'run-1' and seq in (select seq from analytics.revetl.results__people);

insert into analytics.revetl.revetl_outcomes (run_id, sync, account, seq, row_key, action, status, code, message, destination_id, attempt, recorded_at)
select 'run-1', 'people', '1', r.seq, coalesce(cast(p.k_person_id as TEXT), ''),
  p._op, r.status, r.code, r.message, coalesce(r.id, p._destination_id), p._attempts + 1, cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
from analytics.revetl.results__people as r
join analytics.revetl.plan__people as p on p._seq = r.seq
where r.status <> 'accepted';
