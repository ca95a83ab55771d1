# Both environments: runs stages (scheduler with LocalExecutor, a worker, `dvc repro`) and the service.
#   docker build -f docker/trainer.Dockerfile -t perennial-trainer .
#   docker build -f docker/trainer.Dockerfile -t perennial-trainer:cuda --build-arg TORCH_BACKEND=cu130 .
ARG BASE=docker.io/library/python:3.11-slim-bookworm
FROM ${BASE}
# cpu, cu130 or another backend of uv; none takes what the package index carries.
ARG TORCH_BACKEND=cpu
RUN apt-get update \
 && apt-get install -y --no-install-recommends git libgomp1 make python3-venv tini \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 perennial \
 && install -d -o perennial -g perennial /opt/perennial /var/lib/perennial /opt/airflow
USER perennial
WORKDIR /opt/perennial
COPY --chown=perennial:perennial .python-version pyproject.toml ./
COPY --chown=perennial:perennial requirements requirements
COPY --chown=perennial:perennial scripts scripts
COPY --chown=perennial:perennial dags dags
RUN TORCH_BACKEND=${TORCH_BACKEND} scripts/setup.sh all && rm -rf .tools /home/perennial/.cache
COPY --chown=perennial:perennial . .
ENV PATH=/opt/perennial/.venv/bin:/opt/perennial/.venv-airflow/bin:$PATH \
    PERENNIAL_HOME=/var/lib/perennial \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    DVC_NO_ANALYTICS=1
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "pipelines", "--help"]
