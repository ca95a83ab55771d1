# Sourced: puts uv on PATH, from a private environment when the machine has none.
if ! command -v uv >/dev/null 2>&1; then
  if [ ! -x .tools/bin/uv ]; then
    echo "set-up: installing uv into .tools"
    python3 -m venv .tools
    .tools/bin/pip install --quiet --disable-pip-version-check "uv>=0.13,<0.14"
  fi
  PATH="$PWD/.tools/bin:$PATH"
fi
