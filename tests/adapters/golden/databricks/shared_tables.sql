create schema if not exists `analytics`.`revetl`;

create table if not exists `analytics`.`revetl`.`revetl_syncs` (sync string, account string, account_name string, destination string, object string, model string, ledger string, plan_id string, checksum string, layout string, state_format bigint, updated_at timestamp_ntz, settled_at timestamp_ntz, claimed string, mark string, built string);

create table if not exists `analytics`.`revetl`.`revetl_accounts` (fingerprint string, account string, account_name string, url string, seen_at timestamp_ntz);

create table if not exists `analytics`.`revetl`.`revetl_runs` (run_id string, sync string, account string, model string, destination string, object string, mode string, target string, status string, model_rows bigint, planned bigint, created bigint, updated bigint, deleted bigint, unchanged bigint, invalid bigint, rejected bigint, held bigint, skipped bigint, not_attempted bigint, requests bigint, started_at timestamp_ntz, finished_at timestamp_ntz, message string, dbt_invocation_id string, revetl_version string, command string, released string, bytes_processed bigint);

create table if not exists `analytics`.`revetl`.`revetl_outcomes` (run_id string, sync string, account string, seq bigint, row_key string, action string, status string, code string, message string, destination_id string, attempt bigint, recorded_at timestamp_ntz);

create table if not exists `analytics`.`revetl`.`revetl_changes` (run_id string, sync string, account string, seq bigint, row_key string, action string, field string, old_value string, new_value string, destination_id string, recorded_at timestamp_ntz);

create table if not exists `analytics`.`revetl`.`revetl_leases` (sync string, account string, run_id string, holder string, acquired_at timestamp_ntz, expires_at timestamp_ntz);

create table if not exists `analytics`.`revetl`.`revetl_format` (state_format bigint, revetl_version string, written_at timestamp_ntz);

create table if not exists `analytics`.`revetl`.`revetl_queue` (invocation_id string, unique_id string, relation string, status string, tested string, command string, target string, package_version string, started_at timestamp_ntz, queued_at timestamp_ntz, state string, worker string, leased_until timestamp_ntz, attempts bigint, run_id string, message string, finished_at timestamp_ntz);
