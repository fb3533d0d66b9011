merge into analytics.revetl.ledger__people as l
using (select * from (select p.*, coalesce(r.id, p._destination_id) as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message,
  case p._op when 'clear' then 'cleared' when 'delete' then 'deleted' else 'sent' end as _new_standing
from analytics.revetl.plan__people as p
left join analytics.revetl.results__people as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as s where s._status in ('accepted', 'unsure')) as p
on l.k_person_id = p.k_person_id
when matched and p._status = 'unsure' then update set _standing = 'unsure'
when matched and p._op = 'delete' then delete
when matched then update set k_person_id = p.k_person_id, f_email = p.f_email, f_order = p.f_order, f_size = p.f_size, f_seen = p.f_seen, f_changed = p.f_changed, f_tags = p.f_tags, _standing = p._new_standing, _destination_id = p._new_id, _run_id = 'run-1', _accepted_at = cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
when not matched and p._status = 'accepted' and not (p._op = 'delete') then insert (k_person_id, f_email, f_order, f_size, f_seen, f_changed, f_tags, _standing, _destination_id, _run_id, _accepted_at) values (p.k_person_id, p.f_email, p.f_order, p.f_size, p.f_seen, p.f_changed, p.f_tags, p._new_standing, p._new_id, 'run-1', cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz));

delete from analytics.revetl.rejected__people as l
using (select p.*, coalesce(r.id, p._destination_id) as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message,
  case p._op when 'clear' then 'cleared' when 'delete' then 'deleted' else 'sent' end as _new_standing
from analytics.revetl.plan__people as p
left join analytics.revetl.results__people as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as p
where l.k_person_id = p.k_person_id and p._status <> 'not_attempted';

insert into analytics.revetl.rejected__people (k_person_id, f_email, f_order, f_size, f_seen, f_changed, f_tags, _op, _attempts, _status, _code, _message, _run_id, _rejected_at)
select p.k_person_id, p.f_email, p.f_order, p.f_size, p.f_seen, p.f_changed, p.f_tags, p._op, p._attempts + 1, p._status, p._code, p._message, 'run-1', cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
from (select p.*, coalesce(r.id, p._destination_id) as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message,
  case p._op when 'clear' then 'cleared' when 'delete' then 'deleted' else 'sent' end as _new_standing
from analytics.revetl.plan__people as p
left join analytics.revetl.results__people as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as p
where p._status in ('rejected', 'unknown');
