"""DVC pipelines under Airflow: one graph, a workspace for each run, every run replayable.

Knows Airflow, git and DVC's files, and nothing of what a pipeline is about.
"""
