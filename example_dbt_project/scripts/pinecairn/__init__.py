"""The invented company whose data the example project holds."""
