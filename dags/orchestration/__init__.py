"""Run DVC pipelines under Airflow: one stage graph, a workspace per run, every run reproducible.

This package knows Airflow, git and DVC's files, and nothing about the subject of a pipeline.
"""
