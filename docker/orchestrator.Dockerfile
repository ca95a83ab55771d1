# Airflow and the DAGs: api-server, dag-processor, triggerer. It trains nothing; see trainer.Dockerfile for that.
#   docker build -f docker/orchestrator.Dockerfile -t perennial-orchestrator .
ARG BASE=docker.io/library/python:3.11-slim-bookworm
FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends git make python3-venv tini \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 perennial \
 && install -d -o perennial -g perennial /opt/perennial /var/lib/perennial /opt/airflow
USER perennial
WORKDIR /opt/perennial
# Environments first: they change less often than the code.
COPY --chown=perennial:perennial .python-version pyproject.toml ./
COPY --chown=perennial:perennial requirements requirements
COPY --chown=perennial:perennial scripts scripts
COPY --chown=perennial:perennial dags dags
RUN scripts/setup.sh orchestrator && rm -rf .tools /home/perennial/.cache
COPY --chown=perennial:perennial . .
ENV PATH=/opt/perennial/.venv-airflow/bin:$PATH \
    PERENNIAL_HOME=/var/lib/perennial \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
ENTRYPOINT ["tini", "--"]
CMD ["airflow", "version"]
