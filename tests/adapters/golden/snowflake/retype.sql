drop table if exists analytics.revetl.ledger__people__next;

create table analytics.revetl.ledger__people__next as select cast(k_person_id as VARCHAR(100)) as k_person_id, f_email, f_order, f_size, f_seen, f_changed, f_tags from analytics.revetl.ledger__people;

drop table analytics.revetl.ledger__people;

alter table analytics.revetl.ledger__people__next rename to analytics.revetl.ledger__people;
