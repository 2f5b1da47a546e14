#!/usr/bin/env bash
# What prompt sharing gives on a GPU: updates, rollouts, the whole trainer, and the largest group that fits, of a model with
# the shape of Qwen2.5-VL-3B, weights at random, bfloat16.
#
#   bash benchmarks/gpu.sh FOLDER
#
# Every piece is a process of its own and appends its report to a file in FOLDER, a JSON object a line. A piece that fails
# or has no time left leaves a line that says so in FOLDER/failed.jsonl, and its errors in a log; the others go on.
#
#   LIMIT    seconds for everything, 470 by default; what has not begun by then is left out
#   PYTHON   the interpreter, python by default
#   SMALL=1  tiny shapes on the processor: whether the script runs
set -u
out=${1:?usage: bash benchmarks/gpu.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
limit=${LIMIT:-470}
export PYTHONPATH="$here/../src${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore
mkdir -p "$out" || exit

if [ "${SMALL:-}" = 1 ]; then
  model=(--model mini --device cpu --threads 1)
  short=(--prompt 48 --completion 4 --group 2) long=(--prompt 64 --completion 4 --group 3)
  largest=(--prompt 48 --completion 4 --limit 3)
  trainer=(--answers 2 --groups 1 --completion 4 --picture-tokens 4 --steps 1 --rounds 1)
else
  model=(--model 3b --device cuda --dtype bfloat16 --threads 4)
  short=(--prompt 1500 --completion 256 --group 8) long=(--prompt 3000 --completion 256 --group 16)
  largest=(--prompt 2000 --completion 256 --limit 512)
  trainer=(--answers 8 --groups 1 --completion 256 --picture-tokens 700 --steps 2 --rounds 1)
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv > "$out/gpu.txt" 2>&1
fi

failed() { printf '{"piece": "%s", "failed": "%s", "seconds": %d}\n' "$1" "$2" "$SECONDS" | tee -a "$out/failed.jsonl"; }

# piece NAME SCRIPT ARGUMENTS: the report goes to the script's file.
piece() {
  local name=$1 script=$2 left=$((limit - SECONDS))
  shift 2
  if [ "$left" -lt 20 ]; then
    failed "$name" "not run: no time left"
    return
  fi
  echo "[$SECONDS s] $name"
  timeout "$left" "$python" "$here/$script.py" "${model[@]}" "$@" --output "$out/$script.jsonl" \
    > "$out/$name.log" 2>&1
  local code=$?
  case $code in
    0) ;;
    124) failed "$name" "stopped: no time left" ;;
    137) failed "$name" "killed, out of memory it seems" ;;
    *) failed "$name" "exit status $code, see $name.log" ;;
  esac
}

piece update-short update_step "${short[@]}" --checkpointing --rounds 3
piece update-long update_step "${long[@]}" --checkpointing --rounds 2
for side in stock fast portable; do
  piece "largest-$side" largest_group "${largest[@]}" --side "$side" --checkpointing
done
piece rollout-long rollout "${long[@]}" --rounds 2
piece trainer train_step "${trainer[@]}" --checkpointing --arms stock,grpo
piece rollout-short rollout "${short[@]}" --rounds 2
piece update-plain update_step "${short[@]}" --rounds 2
for side in stock fast portable; do
  piece "largest-plain-$side" largest_group "${largest[@]}" --side "$side"
done
echo "[$SECONDS s] reports are in $out"
