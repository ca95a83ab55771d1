-- MLflow keeps its tables apart from Airflow's.
CREATE DATABASE mlflow OWNER airflow;
