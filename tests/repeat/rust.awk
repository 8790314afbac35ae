# Reads what `cargo test` prints, and writes one line for each test, "VERDICT<tab>BINARY: NAME". It knows nothing of runs.

/^ *Running / {
  binary = $0
  sub(/^.*\(/, "", binary)
  sub(/\).*$/, "", binary)
  sub(/^.*\//, "", binary)
  sub(/-[0-9a-f]+$/, "", binary)
}
/^ *Doc-tests / { binary = "doc of " $2 }
# The output of a process that a test started may stand before the line of a test.
match($0, /test [^ ].* \.\.\. (ok|FAILED|ignored)/) {
  line = substr($0, RSTART + 5, RLENGTH - 5)
  verdict = line
  sub(/^.* \.\.\. /, "", verdict)
  sub(/ \.\.\. [A-Za-z]+$/, "", line)
  sub(/ - should panic$/, "", line)
  print (verdict == "ok" ? "ok" : verdict == "FAILED" ? "failed" : "skipped") "\t" binary ": " line
}
