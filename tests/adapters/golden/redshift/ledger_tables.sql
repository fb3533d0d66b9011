create table if not exists "analytics"."revetl"."ledger__people" (k_person_id bigint, f_email character varying(100), f_order character varying(65535), f_size numeric(38,10), f_seen timestamp without time zone, f_changed timestamp with time zone, f_tags TEXT, _standing TEXT, _destination_id TEXT, _run_id TEXT, _accepted_at timestamp) distkey (k_person_id) sortkey (k_person_id);

create table if not exists "analytics"."revetl"."rejected__people" (k_person_id bigint, f_email character varying(100), f_order character varying(65535), f_size numeric(38,10), f_seen timestamp without time zone, f_changed timestamp with time zone, f_tags TEXT, _op TEXT, _attempts bigint, _status TEXT, _code TEXT, _message TEXT, _run_id TEXT, _rejected_at timestamp);

create table if not exists "analytics"."revetl"."results__people" (seq bigint, status TEXT, id TEXT, code TEXT, message TEXT);
