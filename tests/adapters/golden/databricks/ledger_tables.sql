create table if not exists `analytics`.`revetl`.`ledger__people` (k_person_id bigint, f_email string, f_order string, f_size decimal(38,10), f_seen timestamp_ntz, f_changed timestamp, f_tags string, _standing string, _destination_id string, _run_id string, _accepted_at timestamp_ntz);

create table if not exists `analytics`.`revetl`.`rejected__people` (k_person_id bigint, f_email string, f_order string, f_size decimal(38,10), f_seen timestamp_ntz, f_changed timestamp, f_tags string, _op string, _attempts bigint, _status string, _code string, _message string, _run_id string, _rejected_at timestamp_ntz);

create table if not exists `analytics`.`revetl`.`results__people` (seq bigint, status string, id string, code string, message string);
