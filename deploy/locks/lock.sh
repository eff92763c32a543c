#!/bin/bash
# Resolves every lock file from pyproject.toml. Call it through `make lock`.
set -euo pipefail
uv=$1
compile() {
  local out=$1; shift
  "$uv" pip compile --quiet --no-header --no-annotate --generate-hashes --no-emit-index-url \
    --python-version 3.11 --output-file "deploy/locks/$out" "$@"
  echo "$out: $(grep -cE '^[a-z0-9]' "deploy/locks/$out") packages"
}
rm -f deploy/locks/*-[cg]pu.txt
compile uv.txt deploy/locks/uv.in
compile quix.txt deploy/locks/quix.in
for runtime in cpu gpu; do
  config=(--no-config); [ $runtime = cpu ] && config=(--config-file deploy/locks/cpu.toml)
  compile guard-$runtime.txt "${config[@]}" pyproject.toml --extra $runtime
  compile trainer-$runtime.txt "${config[@]}" pyproject.toml --extra $runtime --extra train --extra review
  compile dev-$runtime.txt "${config[@]}" pyproject.toml --extra $runtime --extra train --extra review --extra dev
done
