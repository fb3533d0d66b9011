update `analytics`.`revetl`.`rejected__people` as l set _attempts = 0, _status = 'rejected' where (l._status = 'unknown' or l._attempts >= 10);
