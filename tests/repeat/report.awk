# Compares the verdicts of several runs. Reads two files of columns separated by tabs:
#   runs.tsv      run, quiet|busy, suite, seconds, exit code
#   results.tsv   run, suite, verdict, test
# Prints a table of runs, each test whose verdict differed (a test that did not appear in a run is "missing" there), and each
# test that failed in every run. Ends with 1 if there is one of either kind. It does not run anything.

BEGIN { FS = "\t" }
FNR == NR {
  if (!($1 in condition)) { order[++runs] = $1; condition[$1] = $2 }
  if (!($3 in seen_suite)) { seen_suite[$3] = 1; suites[++suite_count] = $3 }
  seconds[$1, $3] = $4
  code[$1, $3] = $5
  next
}
{
  key = $2 "\t" $4
  if (!(key in known)) { known[key] = 1; tests[++test_count] = key }
  # A test that appears twice in a run, such as one of a data set, has failed if one of its appearances has.
  if (!(($1, key) in verdict) || $3 == "failed") verdict[$1, key] = $3
  if ($3 == "failed") failed[$1, $2]++
  else if ($3 == "ok") passed[$1, $2]++
}
END {
  printf "%-5s %-6s", "run", "beside"
  for (s = 1; s <= suite_count; s++) printf " | %-26s", suites[s]
  print ""
  for (r = 1; r <= runs; r++) {
    run = order[r]
    printf "%-5s %-6s", run, condition[run]
    for (s = 1; s <= suite_count; s++) {
      suite = suites[s]
      text = sprintf("%d ok, %d failed, %d s", passed[run, suite], failed[run, suite], seconds[run, suite])
      if (code[run, suite] != 0) text = text " (" code[run, suite] ")"
      printf " | %-26s", text
    }
    print ""
  }
  for (t = 1; t <= test_count; t++) {
    key = tests[t]
    delete in_runs
    kinds = 0
    list = ""
    split(key, part, "\t")
    for (r = 1; r <= runs; r++) {
      run = order[r]
      if (!((run, part[1]) in seconds)) continue
      kind = ((run, key) in verdict) ? verdict[run, key] : "missing"
      if (!(kind in in_runs)) { in_runs[kind] = ""; kinds++ }
      in_runs[kind] = in_runs[kind] " " run (condition[run] == "busy" ? "b" : "")
    }
    for (k = 1; k <= split("failed missing skipped ok", name, " "); k++)
      if (name[k] in in_runs) list = list "\t" name[k] ":" in_runs[name[k]]
    if (kinds > 1) different[++different_count] = key list
    else if ("failed" in in_runs) always[++always_count] = key
  }
  printf "\ntests: %d, runs: %d\n", test_count, runs
  printf "\ntests whose verdict differed (suite, test, runs; b: beside a busy loop on each core): %d\n", different_count
  for (d = 1; d <= different_count; d++) print "differed\t" different[d]
  printf "\ntests that failed in every run: %d\n", always_count
  for (a = 1; a <= always_count; a++) print "failed\t" always[a]
  bad = different_count + always_count
  for (r = 1; r <= runs; r++) for (s = 1; s <= suite_count; s++)
    if (code[order[r], suites[s]] != 0) bad++
  if (test_count == 0) { print "no test has run"; bad++ }
  exit bad > 0
}
