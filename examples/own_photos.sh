#!/usr/bin/env bash
# Photos of your own, from a COCO file to a served model and back:
#
#   examples/own_photos.sh photos/ labels.json work/
#
# photos/ has the pictures, labels.json the points that you marked on them (CVAT, Label Studio, ...; keypoints named
# as in client/seamline_client/garments.json, or renamed by MAP="theirs=ours theirs=ours"), work/ is a new folder for
# what this makes. Needs .venv: `python3 -m pipeline.runtime.venv` makes it.
# PRESET=tiny tries the machinery in a minute, with a model that knows nothing.
set -euo pipefail
mkdir -p "$3"
photos=$(realpath "$1") keypoints=$(realpath "$2") work=$(realpath "$3")
cd "$(dirname "$0")/.."
python=.venv/bin/python
names=()
for pair in ${MAP:-}; do names+=(--map "$pair"); done
preset=()
[ -z "${PRESET:-}" ] || preset=(--preset "$PRESET")

echo "1. To the layout that training reads. What is refused is listed; nothing is written over."
"$python" -m pipeline convert --coco "$keypoints" --images "$photos" --to "$work/annotated" ${names[@]+"${names[@]}"}

echo "2. Check, train, prove, publish, serve. Train again at any time: it goes on where it was."
"$python" -m pipeline data --source "$work/annotated" ${preset[@]+"${preset[@]}"}
"$python" -m pipeline train --data "$work/annotated" ${preset[@]+"${preset[@]}"}
"$python" -m pipeline export
"$python" -m pipeline serve

echo "3. Look at what it answers, and take its answers back into the labelling tool to be corrected."
"$python" client/predict.py "$photos" --draw "$work/drawn" --coco > "$work/answers.json"
echo "Drawn: $work/drawn   For the labelling tool: $work/answers.json"
