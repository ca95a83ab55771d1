"""What `drift_watch` is made of; no DAG file, so Airflow leaves it alone."""
