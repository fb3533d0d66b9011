"""Reverse ETL that lives in the dbt project."""

__version__ = "0.1.0"
