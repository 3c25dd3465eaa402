#!/usr/bin/env bash
# Plans a workspace: annotations on the files, the Markdown as step summary and output, the plan saved.
# Needs no credentials. Fails when there is no plan, or one that nobody may apply.
#
# Takes COUPONCTL, WORKSPACE, ARGS (a flag or value a line) and PLAN_FILE; writes $GITHUB_OUTPUT and
# $GITHUB_STEP_SUMMARY.
set -euo pipefail

args=()
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=("$line"); fi
done <<< "${ARGS:-}"
comment=${RUNNER_TEMP:-/tmp}/couponctl-comment.md
plan_file=${PLAN_FILE:-${RUNNER_TEMP:-/tmp}/couponctl-plan.json}
rm -f "$plan_file"

# Problems that stop the plan stop it below; here they are shown beside their lines.
"$COUPONCTL" -C "$WORKSPACE" validate --quiet --format github 2> /dev/null || true

# What is shown from here on holds texts from the pull request: none of them is a command to the runner.
stop=couponctl-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$stop"
status=0
"$COUPONCTL" -C "$WORKSPACE" plan --format markdown --detailed-exitcode --out "$plan_file" \
  ${args[@]+"${args[@]}"} > "$comment" || status=$?
echo "::$stop::"
cat "$comment" >> "$GITHUB_STEP_SUMMARY"

# A line that is nowhere in the comment ends it.
end=couponctl-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
{
  echo "exit-code=$status"
  echo "changes=$([ "$status" -eq 2 ] && echo true || echo false)"
  echo "plan-file=$([ -e "$plan_file" ] && echo "$plan_file" || true)"
  echo "comment-file=$comment"
  echo "comment<<$end"
  cat "$comment"
  echo "$end"
} >> "$GITHUB_OUTPUT"

if [ "$status" -eq 2 ]; then status=0; fi
exit "$status"
