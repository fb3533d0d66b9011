insert into "analytics"."revetl"."results__people" (seq, status, id, code, message) values (1, 'rejected', null, 'bad', 'It''s wrong');
