package report

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"slices"

	"luaserve/lint"
)

// SARIF is the Static Analysis Results Interchange Format of OASIS, version 2.1.0: what code
// hosts and editors read.

const (
	sarifVersion = "2.1.0"
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool       sarifTool     `json:"tool"`
	ColumnKind string        `json:"columnKind"`
	Results    []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID            string      `json:"id"`
	Name          string      `json:"name"`
	Short         sarifText   `json:"shortDescription"`
	Full          sarifText   `json:"fullDescription"`
	Help          sarifText   `json:"help"`
	Configuration sarifConfig `json:"defaultConfiguration"`
}

type sarifConfig struct {
	Level string `json:"level"`
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	RuleIndex int             `json:"ruleIndex"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
	Fixes     []sarifFix      `json:"fixes,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine   int  `json:"startLine,omitempty"`
	StartColumn int  `json:"startColumn,omitempty"`
	EndColumn   int  `json:"endColumn,omitempty"`
	ByteOffset  *int `json:"byteOffset,omitempty"`
	ByteLength  *int `json:"byteLength,omitempty"`
}

type sarifFix struct {
	Description sarifText     `json:"description"`
	Changes     []sarifChange `json:"artifactChanges"`
}

type sarifChange struct {
	Artifact     sarifArtifact      `json:"artifactLocation"`
	Replacements []sarifReplacement `json:"replacements"`
}

type sarifReplacement struct {
	Deleted  sarifRegion `json:"deletedRegion"`
	Inserted sarifText   `json:"insertedContent"`
}

// SARIF writes findings as a SARIF log with one run; version is that of luaserve.
func SARIF(out io.Writer, findings []lint.Finding, version string) error {
	rules := lint.Rules()
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "luaserve", Version: version}},
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	for _, r := range rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			r.Code, r.Name, sarifText{Text: r.Summary}, sarifText{Text: r.Why}, sarifText{r.Why, r.Markdown()}, sarifConfig{level(r.Severity)},
		})
	}
	var texts Text
	for _, f := range findings {
		run.Results = append(run.Results, sarifResult{
			RuleID: f.Rule.Code, RuleIndex: slices.Index(rules, f.Rule), Level: level(f.Rule.Severity),
			Message:   sarifText{Text: message(f)},
			Locations: []sarifLocation{{sarifPhysical{sarifArtifact{uri(f.Pos.File)}, region(&texts, f)}}},
			Fixes:     fixes(f),
		})
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{sarifSchema, sarifVersion, []sarifRun{run}})
}

func message(f lint.Finding) string {
	if f.Hint == "" {
		return f.Msg
	}
	return f.Msg + "; " + f.Hint
}

func level(s lint.Severity) string {
	if s == lint.Info {
		return "note"
	}
	return s.String()
}

// uri is relative where the name of the file is, as readers expect it.
func uri(file string) string {
	u := url.URL{Path: filepath.ToSlash(file)}
	if filepath.IsAbs(file) {
		u.Scheme = "file"
	}
	return u.String()
}

func region(texts *Text, f lint.Finding) *sarifRegion {
	if f.Pos.Line == 0 {
		return nil
	}
	r := &sarifRegion{StartLine: f.Pos.Line}
	if f.Column > 0 {
		text := texts.text(f.Pos.File)
		r.StartColumn, r.EndColumn = charColumn(text, f.Pos.Line, f.Column), charColumn(text, f.Pos.Line, f.Column+f.Width)
	}
	return r
}

func fixes(f lint.Finding) []sarifFix {
	if f.Fix == nil {
		return nil
	}
	change := sarifChange{Artifact: sarifArtifact{uri(f.Pos.File)}}
	for _, e := range f.Fix.Edits {
		length := e.End - e.Start
		change.Replacements = append(change.Replacements, sarifReplacement{sarifRegion{ByteOffset: &e.Start, ByteLength: &length}, sarifText{Text: e.New}})
	}
	return []sarifFix{{sarifText{Text: f.Fix.Msg}, []sarifChange{change}}}
}
