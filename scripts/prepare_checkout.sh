#!/usr/bin/env bash
# Once per checkout: put DVC's cache and remote into the state root, let its plots work without a network, keep the
# files that a run rewrites out of `git status`, and pin a champion (or none).
set -euo pipefail
cd "$(dirname "$0")/.."
home="${PERENNIAL_HOME:-$PWD/.perennial}"
local_config=.dvc/config.local
if [ ! -f "$local_config" ] || ! grep -qF "$home/dvc-cache" "$local_config"; then
  # A hardlink into the cache is safe only where its file mode prevents in-place writes, which it does not for root.
  links=reflink,hardlink,copy
  [ "$(id -u)" != 0 ] || links=reflink,copy
  mkdir -p "$home/dvc-cache" "$home/dvc-remote"
  cat > "$local_config.partial" <<CONFIG
[core]
    remote = home
[cache]
    dir = $home/dvc-cache
    type = "$links"
['remote "home"']
    url = $home/dvc-remote
CONFIG
  mv "$local_config.partial" "$local_config"
fi
page="$PWD/.venv/share/dvc-plots.html"
if [ -f "$page" ] && [ ! -f "$(sed -n 's/^ *html_template = //p' "$local_config")" ]; then
  .venv/bin/dvc config --local plots.html_template "$page" # an existing page that someone chose is kept
fi
scripts/hide_run_files.sh
# `split` and `promote` compare with data/champion/; a new checkout has none yet.
[ -d data/champion ] || PERENNIAL_HOME="$home" .venv/bin/python -m pipelines pin
