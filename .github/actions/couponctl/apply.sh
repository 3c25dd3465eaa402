#!/usr/bin/env bash
# Applies a workspace and commits the lock back, also when some stocks failed: what was made exists,
# and must be known to the next run. Ends with couponctl's status, or 1 when the lock was not pushed.
#
# Takes COUPONCTL, WORKSPACE, ARGS (a flag or value a line), PLAN_FILE and BRANCH, and credentials as
# couponctl takes them; writes $GITHUB_OUTPUT.
set -euo pipefail

args=()
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=("$line"); fi
done <<< "${ARGS:-}"
if [ -n "${PLAN_FILE:-}" ]; then args+=("$PLAN_FILE"); fi

# A run that is cancelled lets requests in flight finish and records them; then the lock is pushed.
apply=
trap 'if [ -n "$apply" ]; then kill -TERM "$apply" 2> /dev/null || true; fi' TERM INT
# What couponctl prints holds texts from the repository: none of them is a command to the runner.
stop=couponctl-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$stop"
status=0
"$COUPONCTL" -C "$WORKSPACE" apply --auto-approve ${args[@]+"${args[@]}"} &
apply=$!
wait "$apply" || status=$?
# A signal ends `wait` before couponctl has ended.
while kill -0 "$apply" 2> /dev/null; do
  wait "$apply" || status=$?
done
trap '' TERM INT
echo "::$stop::"
echo "exit-code=$status" >> "$GITHUB_OUTPUT"

cd "$WORKSPACE"
git config user.name > /dev/null || git config user.name couponctl
git config user.email > /dev/null || git config user.email couponctl@users.noreply.github.com
# Locks merge entry by entry, whether or not .gitattributes says so.
git config merge.couponctl.name "couponctl lock"
git config merge.couponctl.driver "'$COUPONCTL' lock merge-driver %O %A %B"
attributes=$(git rev-parse --git-path info/attributes)
mkdir -p "$(dirname "$attributes")"
grep -qs 'merge=couponctl' "$attributes" || echo 'couponctl.lock merge=couponctl' >> "$attributes"

# The journal is there only when it is not known what came of a request. This machine is gone after
# the run, so git keeps it for the next one, which settles it and takes it away.
journal=couponctl.lock.journal
stage() {
  for file in couponctl.lock "$journal".damaged*; do
    if [ -e "$file" ]; then git add --force "$file" || return; fi
  done
  if [ -e "$journal" ]; then
    git add --force "$journal"
  else
    git rm --quiet --cached --ignore-unmatch "$journal"
  fi
}
# The last resort: what was made stands in the log.
print_lock() {
  echo "::error::$1 Commit what follows before the next apply."
  echo "::stop-commands::$stop"
  for file in couponctl.lock "$journal"*; do
    if [ -e "$file" ]; then echo "$file:" && cat "$file"; fi
  done
  echo "::$stop::"
  exit 1
}
stage || print_lock "The lock could not be staged."
if git diff --cached --quiet; then
  echo "The lock is as it was."
  exit "$status"
fi
git commit --quiet --no-verify --message "Record what couponctl applied [skip ci]" \
  || print_lock "The lock could not be committed."

pushed=
for attempt in 1 2 3 4 5 6; do
  if git push --quiet origin "HEAD:refs/heads/$BRANCH"; then
    pushed=yes
    break
  fi
  # Somebody was faster: their commits first, ours on top. What else was changed here stays as it is.
  if git fetch --quiet origin "$BRANCH" && ! git rebase --quiet --autostash FETCH_HEAD; then
    git rebase --abort || true
    break
  fi
  sleep $((attempt * ${PUSH_PAUSE:-2}))
done
if [ -n "$pushed" ]; then
  echo "lock-commit=$(git rev-parse HEAD)" >> "$GITHUB_OUTPUT"
  exit "$status"
fi

rescue=couponctl-lock-${GITHUB_RUN_ID:-$$}-${GITHUB_RUN_ATTEMPT:-1}
if git push --quiet origin "HEAD:refs/heads/$rescue"; then
  echo "::error::The lock could not be pushed to $BRANCH. It is on the branch $rescue: merge that before the next apply."
  exit 1
fi
print_lock "The lock could not be pushed."
