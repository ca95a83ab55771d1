#!/usr/bin/env bash
# Make docker/.env with generated secrets, readable by its owner only; an existing one is left alone.
set -euo pipefail
cd "$(dirname "$0")"
[ -f .env ] && { echo "docker/.env is there already"; exit 0; }
umask 077
secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }
{
  echo "POSTGRES_PASSWORD=$(secret | tr -d '=')"
  echo "AIRFLOW_FERNET_KEY=$(secret)"
  echo "AIRFLOW_API_SECRET=$(secret)"
  echo "AIRFLOW_JWT_SECRET=$(secret)"
  echo "PERENNIAL_API_TOKEN=$(secret | tr -d '=')"
} > .env.partial
mv .env.partial .env
echo "made docker/.env"
