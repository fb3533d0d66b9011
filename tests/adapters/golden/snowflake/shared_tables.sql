create schema if not exists analytics.revetl;

create table if not exists analytics.revetl.revetl_syncs (sync TEXT, account TEXT, account_name TEXT, destination TEXT, object TEXT, model TEXT, ledger TEXT, plan_id TEXT, checksum TEXT, layout TEXT, state_format bigint, updated_at timestamp_ntz, settled_at timestamp_ntz, claimed TEXT, mark TEXT, built TEXT);

create table if not exists analytics.revetl.revetl_accounts (fingerprint TEXT, account TEXT, account_name TEXT, url TEXT, seen_at timestamp_ntz);

create table if not exists analytics.revetl.revetl_runs (run_id TEXT, sync TEXT, account TEXT, model TEXT, destination TEXT, object TEXT, mode TEXT, target TEXT, status TEXT, model_rows bigint, planned bigint, created bigint, updated bigint, deleted bigint, unchanged bigint, invalid bigint, rejected bigint, held bigint, skipped bigint, not_attempted bigint, requests bigint, started_at timestamp_ntz, finished_at timestamp_ntz, message TEXT, dbt_invocation_id TEXT, revetl_version TEXT, command TEXT, released TEXT, bytes_processed bigint);

create table if not exists analytics.revetl.revetl_outcomes (run_id TEXT, sync TEXT, account TEXT, seq bigint, row_key TEXT, action TEXT, status TEXT, code TEXT, message TEXT, destination_id TEXT, attempt bigint, recorded_at timestamp_ntz);

create table if not exists analytics.revetl.revetl_changes (run_id TEXT, sync TEXT, account TEXT, seq bigint, row_key TEXT, action TEXT, field TEXT, old_value TEXT, new_value TEXT, destination_id TEXT, recorded_at timestamp_ntz);

create table if not exists analytics.revetl.revetl_leases (sync TEXT, account TEXT, run_id TEXT, holder TEXT, acquired_at timestamp_ntz, expires_at timestamp_ntz);

create table if not exists analytics.revetl.revetl_format (state_format bigint, revetl_version TEXT, written_at timestamp_ntz);

create table if not exists analytics.revetl.revetl_queue (invocation_id TEXT, unique_id TEXT, relation TEXT, status TEXT, tested TEXT, command TEXT, target TEXT, package_version TEXT, started_at timestamp_ntz, queued_at timestamp_ntz, state TEXT, worker TEXT, leased_until timestamp_ntz, attempts bigint, run_id TEXT, message TEXT, finished_at timestamp_ntz);
