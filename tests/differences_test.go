package tests

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const differencesFile = "../docs/differences.md"

// TestDifferences compares docs/differences.md with the reasons in the recorded cases;
// -update writes it anew.
func TestDifferences(t *testing.T) {
	got := differences(t)
	if *update {
		if err := os.WriteFile(differencesFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(differencesFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("docs/differences.md is stale; write it anew with: go test ./tests -run Differences -update")
	}
}

// differences lists what luaserve does otherwise than the recorded lighttpd2, by reason.
func differences(t *testing.T) string {
	cases := map[string][]string{}
	add := func(reason, name string) {
		if reason != "" && !slices.Contains(cases[reason], name) {
			cases[reason] = append(cases[reason], name)
		}
	}
	for _, c := range loadCases(t) {
		add(c.AcceptedDifference, c.Name)
		for i := range c.Requests {
			add(c.Requests[i].Accepted, c.Name)
		}
	}
	reasons := make([]string, 0, len(cases))
	for reason := range cases {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	var b strings.Builder
	b.WriteString("# Differences from lighttpd2\n\nWhere luaserve chose otherwise than the lighttpd2 whose behaviour was recorded, and why. " +
		"This page is made from the recorded cases in `tests/testdata/conformance`; those that are not listed answer the same.\n\n| here | cases |\n| --- | --- |\n")
	for _, reason := range reasons {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(reason, "|", `\|`), strings.Join(cases[reason], ", "))
	}
	return b.String()
}
