package sitetest

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Text writes the report for people: failures with both values and the line, then a line for
// each file. verbose also names the tests that passed; coverage lists rules that none has met.
func (r *Report) Text(w io.Writer, verbose, coverage bool) error {
	var out strings.Builder
	for _, file := range r.files() {
		passed, skipped := 0, 0
		for _, o := range file {
			switch {
			case o.Failed != "":
				fmt.Fprintf(&out, "FAIL  %s\n%s\n", o.Name, indented(o.Failed))
			case o.Skipped != "":
				skipped++
				if verbose {
					fmt.Fprintf(&out, "skip  %s: %s\n", o.Name, o.Skipped)
				}
			default:
				passed++
				if verbose {
					fmt.Fprintf(&out, "ok    %s (%s)\n", o.Name, o.Took.Round(time.Millisecond))
				}
			}
			if verbose || o.Failed != "" {
				for _, line := range o.Log {
					fmt.Fprintf(&out, "      %s\n", line)
				}
			}
		}
		fmt.Fprintf(&out, "%s  %s: %s\n", verdict(len(file)-passed-skipped), file[0].File, counts(passed, len(file)-passed-skipped, skipped))
	}
	for _, c := range r.Coverage {
		fmt.Fprintf(&out, "%s: %d%% of the rules were met (%d of %d)\n", c.Site, c.Percent(), c.Met, c.Rules)
		if coverage {
			for _, m := range c.Missed {
				fmt.Fprintf(&out, "%s: %s\n", m.Pos, m.Why)
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func verdict(failed int) string {
	if failed > 0 {
		return "FAIL"
	}
	return "ok  "
}

func counts(passed, failed, skipped int) string {
	text := fmt.Sprintf("%d passed", passed)
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if skipped > 0 {
		text += fmt.Sprintf(", %d skipped", skipped)
	}
	return text
}

func indented(text string) string { return "      " + strings.ReplaceAll(text, "\n", "\n      ") }

// files returns the outcomes of each file, in order.
func (r *Report) files() [][]Outcome {
	var out [][]Outcome
	for _, o := range r.Outcomes {
		if n := len(out); n > 0 && out[n-1][0].File == o.File {
			out[n-1] = append(out[n-1], o)
		} else {
			out = append(out, []Outcome{o})
		}
	}
	return out
}

// TAP writes the report in the Test Anything Protocol, version 13.
func (r *Report) TAP(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "TAP version 13\n1..%d\n", len(r.Outcomes))
	for i, o := range r.Outcomes {
		result := "ok"
		if o.Failed != "" {
			result = "not ok"
		}
		// "#" begins a directive
		fmt.Fprintf(&out, "%s %d - %s: %s", result, i+1, o.File, strings.NewReplacer("#", `\#`, "\n", " ").Replace(o.Name))
		if o.Skipped != "" {
			fmt.Fprintf(&out, " # SKIP %s", strings.ReplaceAll(o.Skipped, "\n", " "))
		}
		out.WriteByte('\n')
		if o.Failed != "" {
			fmt.Fprintf(&out, "  ---\n  message: |\n%s\n  ...\n", indented(o.Failed))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// The elements of a JUnit report, as CI servers read them.
type (
	junitSuites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Time     string   `xml:"time,attr"`
		Suites   []junitSuite
	}
	junitSuite struct {
		XMLName  xml.Name `xml:"testsuite"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Time     string   `xml:"time,attr"`
		Cases    []junitCase
	}
	junitCase struct {
		XMLName xml.Name      `xml:"testcase"`
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the report as JUnit XML.
func (r *Report) JUnit(w io.Writer) error {
	all := junitSuites{Time: seconds(r.Took)}
	for _, file := range r.files() {
		s := junitSuite{Name: file[0].File}
		var took time.Duration
		for _, o := range file {
			c := junitCase{Name: o.Name, Class: o.File, File: o.File, Line: o.Line, Time: seconds(o.Took), Output: strings.Join(o.Log, "\n")}
			switch {
			case o.Failed != "":
				s.Failures++
				first, _, _ := strings.Cut(o.Failed, "\n")
				c.Failure = &junitMessage{first, o.Failed}
			case o.Skipped != "":
				s.Skipped++
				c.Skipped = &junitMessage{Message: o.Skipped}
			}
			took += o.Took
			s.Cases = append(s.Cases, c)
		}
		s.Tests, s.Time = len(file), seconds(took)
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return cmp.Or(e.Encode(all), e.Close())
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
