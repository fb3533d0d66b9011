delete from "analytics"."revetl"."ledger__people" where exists (
  select 1 from (select l.k_person_id as _such_1 from "analytics"."revetl"."ledger__people" as l where exists (
  select 1 from (select p.k_person_id, coalesce(r.status, 'accepted') as _status
from "analytics"."revetl"."plan__people" as p
left join "analytics"."revetl"."results__people" as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as p
  where l.k_person_id = p.k_person_id and p._status = 'accepted'
)) as such
  where such._such_1 = k_person_id
);

insert into "analytics"."revetl"."ledger__people" (k_person_id, f_email, f_order, f_size, f_seen, f_changed, f_tags, _standing, _destination_id, _run_id, _accepted_at)
select p.k_person_id, p.f_email, p.f_order, p.f_size, p.f_seen, p.f_changed, p.f_tags,
  case p._op when 'clear' then 'cleared' when 'delete' then 'deleted' else 'sent' end,
  coalesce(p._new_id, p._destination_id), 'run-1', cast(getdate() as timestamp)
from (select p.*, p._seq as _number, r.id as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message
from "analytics"."revetl"."plan__people" as p
left join "analytics"."revetl"."results__people" as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as p
where p._status = 'accepted' and p._op <> 'delete';

update "analytics"."revetl"."ledger__people" as l
set _standing = 'unsure'
from (select p.k_person_id, coalesce(r.status, 'accepted') as _status
from "analytics"."revetl"."plan__people" as p
left join "analytics"."revetl"."results__people" as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as p
where l.k_person_id = p.k_person_id and p._status = 'unsure';

delete from "analytics"."revetl"."rejected__people" where exists (
  select 1 from (select l.k_person_id as _such_1 from "analytics"."revetl"."rejected__people" as l where exists (
  select 1 from (select p.k_person_id, coalesce(r.status, 'accepted') as _status
from "analytics"."revetl"."plan__people" as p
left join "analytics"."revetl"."results__people" as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as p
  where l.k_person_id = p.k_person_id and p._status <> 'not_attempted'
)) as such
  where such._such_1 = k_person_id
);

insert into "analytics"."revetl"."rejected__people" (k_person_id, f_email, f_order, f_size, f_seen, f_changed, f_tags, _op, _attempts, _status, _code, _message, _run_id, _rejected_at)
select p.k_person_id, p.f_email, p.f_order, p.f_size, p.f_seen, p.f_changed, p.f_tags, p._op, p._attempts + 1, p._status, p._code, p._message, 'run-1', cast(getdate() as timestamp)
from (select p.*, p._seq as _number, r.id as _new_id, coalesce(r.status, 'accepted') as _status, r.code as _code, r.message as _message
from "analytics"."revetl"."plan__people" as p
left join "analytics"."revetl"."results__people" as r on r.seq = p._seq
where ((p._op = 'create' and p._seq between 1 and 500) or (p._op = 'update' and p._seq between 501 and 900))) as p
where p._status in ('rejected', 'unknown');
