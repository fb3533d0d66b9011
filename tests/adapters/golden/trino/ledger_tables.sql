create table if not exists "analytics"."revetl"."ledger__people" (k_person_id bigint, f_email varchar(100), f_order varchar, f_size decimal(38,10), f_seen timestamp(6), f_changed timestamp(6) with time zone, f_tags varchar, _standing varchar, _destination_id varchar, _run_id varchar, _accepted_at timestamp(6));

create table if not exists "analytics"."revetl"."rejected__people" (k_person_id bigint, f_email varchar(100), f_order varchar, f_size decimal(38,10), f_seen timestamp(6), f_changed timestamp(6) with time zone, f_tags varchar, _op varchar, _attempts bigint, _status varchar, _code varchar, _message varchar, _run_id varchar, _rejected_at timestamp(6));

create table if not exists "analytics"."revetl"."results__people" (seq bigint, status varchar, id varchar, code varchar, message varchar);
