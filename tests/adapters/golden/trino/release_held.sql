update "analytics"."revetl"."rejected__people" set _attempts = 0, _status = 'rejected' where exists (
  select 1 from (select l.k_person_id as _such_1 from "analytics"."revetl"."rejected__people" as l where (l._status = 'unknown' or l._attempts >= 10)) as such
  where such._such_1 = k_person_id
);
