insert into "analytics"."revetl"."revetl_runs" (run_id, planned, rejected, started_at) values ('run-1', 5, null, '2026-11-28 12:00:00');
