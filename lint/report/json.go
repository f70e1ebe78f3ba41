package report

import (
	"encoding/json"
	"io"

	"luaserve/lint"
)

type jsonFinding struct {
	Code     string        `json:"code"`
	Name     string        `json:"name"`
	Severity lint.Severity `json:"severity"`
	File     string        `json:"file"`
	Line     int           `json:"line,omitempty"`
	Column   int           `json:"column,omitempty"`    // in characters, from 1
	EndCol   int           `json:"endColumn,omitempty"` // behind the last character
	Message  string        `json:"message"`
	Hint     string        `json:"hint,omitempty"`
	Fix      *jsonFix      `json:"fix,omitempty"`
}

type jsonFix struct {
	Message string     `json:"message"`
	Edits   []jsonEdit `json:"edits"`
}

type jsonEdit struct {
	Start int    `json:"start"` // in bytes from the beginning of the file
	End   int    `json:"end"`
	New   string `json:"new"`
}

// JSON writes findings as one array of objects.
func JSON(out io.Writer, findings []lint.Finding) error {
	var texts Text
	list := make([]jsonFinding, len(findings))
	for i, f := range findings {
		j := jsonFinding{
			Code: f.Rule.Code, Name: f.Rule.Name, Severity: f.Rule.Severity, File: f.Pos.File, Line: f.Pos.Line, Message: f.Msg, Hint: f.Hint,
		}
		if f.Column > 0 {
			text := texts.text(f.Pos.File)
			j.Column, j.EndCol = charColumn(text, f.Pos.Line, f.Column), charColumn(text, f.Pos.Line, f.Column+f.Width)
		}
		if f.Fix != nil {
			j.Fix = &jsonFix{Message: f.Fix.Msg}
			for _, e := range f.Fix.Edits {
				j.Fix.Edits = append(j.Fix.Edits, jsonEdit{e.Start, e.End, e.New})
			}
		}
		list[i] = j
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}
