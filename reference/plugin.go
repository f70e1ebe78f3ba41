package reference

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"luaserve/runtime"
)

// A plugin says in its comments what it adds. The first comment of the file is about the
// whole: "core.lua: the actions …". A later one that begins like a call is an entry:
//
//	-- core.wsgi(prefix, app): mounts a WSGI application below a URL prefix.
//	--
//	-- More sentences.
//	--
//	--   actions = core.wsgi("/trac", { fastcgi "unix:/run/trac.sock" })
//	---@param prefix string begins with "/", or is ""
//
// What is indented is the example. Annotations as editors know them say what the parameters
// are; "setup" before the name makes the entry a setup.
var (
	aboutFile  = regexp.MustCompile(`^[\w.-]+\.lua: (.*)`)
	aboutEntry = regexp.MustCompile(`^(setup )?([\w.]+)\((.*?)\): (.*)`)
	paramLine  = regexp.MustCompile(`^@param\s+([\w.]+)(\?)?\s+(\S+)\s*(.*)`)
)

// pluginTypes are the annotated types that stand for one of a module's parameter types;
// others stand for [runtime.TAny].
var pluginTypes = map[string]runtime.ParamType{
	"string": runtime.TString, "number": runtime.TNumber, "boolean": runtime.TBool, "table": runtime.TPairs,
	"string|string[]": runtime.TStrings, "lighty.Actions": runtime.TAction, "lighty.Condition": runtime.TCondition,
}

// ReadPlugins reads all plugins of a file system, see [ReadPlugin].
func ReadPlugins(files fs.FS) ([]*Entry, error) {
	names, err := fs.Glob(files, "*.lua")
	if err != nil {
		return nil, err
	}
	var out []*Entry
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		plugin, err := ReadPlugin(name, string(text))
		if err != nil {
			return nil, err
		}
		out = append(out, plugin)
	}
	return out, nil
}

// ReadPlugin reads what the plugin called name says about itself in its comments. An error
// is an annotation of a parameter that does not exist.
func ReadPlugin(name, text string) (*Entry, error) {
	plugin := &Entry{Kind: Plugin, Name: name}
	load := fmt.Sprintf("lua.plugin %q\n", name)
	for i, comment := range comments(text) {
		if m := aboutFile.FindStringSubmatch(comment[0]); i == 0 && m != nil {
			plugin.Doc = sentence(strings.Join(append([]string{m[1]}, prose(comment[1:])...), " "))
			continue
		}
		m := aboutEntry.FindStringSubmatch(comment[0])
		if m == nil {
			continue
		}
		e := &Entry{Kind: Action, Name: m[2], Doc: sentence(strings.Join(append([]string{m[4]}, prose(comment[1:])...), " "))}
		if m[1] != "" {
			e.Kind = Setup
		}
		if example := indented(comment); example != "" {
			e.Example = load + example
		}
		if err := e.readParams(m[3], comment); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, e.Name, err)
		}
		plugin.Entries = append(plugin.Entries, e)
	}
	return plugin, nil
}

// comments returns the lines of each run of comment lines, without the dashes.
func comments(text string) [][]string {
	var out [][]string
	inside := false
	for line := range strings.Lines(text) {
		rest, isComment := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "--")
		if !isComment {
			inside = false
			continue
		}
		if !inside {
			out = append(out, nil)
		}
		inside = true
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "-"), " ")
		out[len(out)-1] = append(out[len(out)-1], rest)
	}
	return out
}

// prose returns the lines that are sentences.
func prose(lines []string) []string {
	var out []string
	for _, line := range lines {
		if line != "" && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "@") {
			out = append(out, line)
		}
	}
	return out
}

// indented returns the lines of the example.
func indented(lines []string) string {
	var out []string
	for _, line := range lines {
		if code, ok := strings.CutPrefix(line, "  "); ok {
			out = append(out, code)
		}
	}
	return strings.Join(out, "\n")
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// readParams describes the parameters of a call: "prefix, [app]".
func (e *Entry) readParams(call string, comment []string) error {
	for name := range strings.FieldsFuncSeq(call, func(r rune) bool { return r == ',' || r == ' ' }) {
		inner := strings.Trim(name, "[]")
		e.Params = append(e.Params, Param{Name: inner, Optional: inner != name, Type: runtime.TAny.String(), lua: "any"})
	}
	for _, line := range comment {
		m := paramLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		i := slices.IndexFunc(e.Params, func(p Param) bool { return p.Name == m[1] })
		if i < 0 {
			return fmt.Errorf("there is no parameter %s: %s", m[1], line)
		}
		kind, ok := pluginTypes[m[3]]
		if !ok {
			kind = runtime.TAny
		}
		e.Params[i] = describeParams([]runtime.Param{{Name: m[1], Type: kind, Optional: m[2] != "", Doc: m[4]}})[0]
	}
	return nil
}
