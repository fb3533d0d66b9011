{#
  Redshift takes dbt's variants for PostgreSQL where it has none of its own, but has no indexes, no row constructors, no clock_timestamp() and no JSON of
  PostgreSQL's: https://docs.aws.amazon.com/redshift/latest/dg/c_redshift-and-postgres-sql.html. Two runs that take a lease at once are told apart by its
  serializable isolation, which lets one of them fail.
#}

{% macro redshift__revetl_probe(s) %}{{ return(revetl_dbt.default__revetl_probe(s)) }}{% endmacro %}

{% macro redshift__revetl_plan(s, rows, begun) %}{{ return(revetl_dbt.default__revetl_plan(s, rows, begun)) }}{% endmacro %}

{% macro redshift__revetl_rows_digest(s) %}{{ return(revetl_dbt.default__revetl_rows_digest(s)) }}{% endmacro %}

{% macro redshift__revetl_shared_constraints(tables) %}{{ return(revetl_dbt.default__revetl_shared_constraints(tables)) }}{% endmacro %}

{% macro redshift__revetl_load_results(relation, rows, base64) %}{{ return(revetl_dbt.default__revetl_load_results(relation, rows, base64)) }}{% endmacro %}

{% macro redshift__revetl_load_rows(relation, columns, rows, base64) %}
{{ return(revetl_dbt.default__revetl_load_rows(relation, columns, rows, base64)) }}
{% endmacro %}

{% macro redshift__revetl_nested_text(expression) %}{{ return('json_serialize(' ~ expression ~ ')') }}{% endmacro %}

{% macro redshift__revetl_sha256(text) %}{{ return(revetl_dbt.default__revetl_sha256(text)) }}{% endmacro %}

{# Every match is replaced; there is no flag for it. #}
{% macro redshift__revetl_replaced(text, pattern) %}{{ return(revetl_dbt.default__revetl_replaced(text, pattern)) }}{% endmacro %}

{% macro redshift__revetl_now() %}{{ return(revetl_dbt.default__revetl_now()) }}{% endmacro %}

{# In Redshift the table of a delete has no other name: https://docs.aws.amazon.com/redshift/latest/dg/r_DELETE.html #}
{% macro redshift__revetl_delete(relation, key, condition) %}{{ return(revetl_dbt.default__revetl_delete(relation, key, condition)) }}{% endmacro %}

{% macro redshift__revetl_delete_found(relation, key, query, matched, condition) %}
  {{ return(revetl_dbt.default__revetl_delete_found(relation, key, query, matched, condition)) }}
{% endmacro %}

{# Its own name for text without a length stands for 256 bytes: https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html #}
{% macro redshift__revetl_text_type() %}{{ return('character varying(65535)') }}{% endmacro %}
