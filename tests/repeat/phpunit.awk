# Reads PHPUnit's JUnit file, and writes one line for each test, "VERDICT<tab>CLASS: NAME". It knows nothing of runs.

function attribute(line, name) {
  if (!match(line, " " name "=\"[^\"]*\"")) return ""
  return substr(line, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
}
function finish() {
  if (test != "") print verdict "\t" test
  test = ""
}
/<testcase / {
  test = attribute($0, "class") ": " attribute($0, "name")
  verdict = "ok"
  if ($0 ~ /\/>[ \t]*$/) finish()
}
/<(failure|error|warning)[ >]/ { verdict = "failed" }
/<skipped/ { verdict = "skipped" }
/<\/testcase>/ { finish() }
