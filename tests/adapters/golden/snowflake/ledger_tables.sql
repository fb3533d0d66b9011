create table if not exists analytics.revetl.ledger__people (k_person_id NUMBER(38,0), f_email VARCHAR(100), f_order TEXT, f_size NUMBER(38,10), f_seen TIMESTAMP_NTZ, f_changed TIMESTAMP_TZ, f_tags TEXT, _standing TEXT, _destination_id TEXT, _run_id TEXT, _accepted_at timestamp_ntz);

create table if not exists analytics.revetl.rejected__people (k_person_id NUMBER(38,0), f_email VARCHAR(100), f_order TEXT, f_size NUMBER(38,10), f_seen TIMESTAMP_NTZ, f_changed TIMESTAMP_TZ, f_tags TEXT, _op TEXT, _attempts bigint, _status TEXT, _code TEXT, _message TEXT, _run_id TEXT, _rejected_at timestamp_ntz);

create table if not exists analytics.revetl.results__people (seq bigint, status TEXT, id TEXT, code TEXT, message TEXT);
