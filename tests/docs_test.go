package tests

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/tests/pki"
)

// section is a part of a page, from one heading to the next.
type section struct {
	page, title string
	files       [][2]string // path and content, of comments: <!-- file /var/www/a.txt: content -->
	examples    []*docExample
}

// docExample is a Lua block, and the transcripts behind it.
type docExample struct {
	line        int
	script      string
	transcripts []string // blocks of http, see exchanges
}

var (
	docPart = regexp.MustCompile("(?sm)^##+ ([^\n]*)|^<!-- file (\\S+): (.*?) -->|^```(lua|http)\n(.*?)^```")
	docs    = []string{"../docs/*.md", "../README.md", "../examples/*/README.md"}
)

// readDocs returns the sections of all pages.
func readDocs(t *testing.T) []*section {
	t.Helper()
	var out []*section
	for _, pattern := range docs {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: no pages, %v", pattern, err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, readSections(t, strings.TrimPrefix(page, "../"), string(text))...)
		}
	}
	return out
}

func readSections(t *testing.T, page, text string) []*section {
	now := &section{page: page, title: "top"}
	out := []*section{now}
	for _, m := range docPart.FindAllStringSubmatchIndex(text, -1) {
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		line := 1 + strings.Count(text[:m[0]], "\n")
		switch {
		case group(2) != "":
			now.files = append(now.files, [2]string{group(2), group(3) + "\n"})
		case group(4) == "lua":
			now.examples = append(now.examples, &docExample{line: line, script: group(5)})
		case group(4) == "http":
			if len(now.examples) == 0 {
				t.Errorf("%s:%d: a transcript without a script before it", page, line)
				continue
			}
			last := now.examples[len(now.examples)-1]
			last.transcripts = append(last.transcripts, group(5))
		default:
			now = &section{page: page, title: group(1)}
			out = append(out, now)
		}
	}
	return out
}

// TestDocs loads every Lua block of the documentation as a script, and holds what the server
// answers against the transcripts behind it.
func TestDocs(t *testing.T) {
	sections, services := readDocs(t), startServices(t)
	exampleFiles(t)
	blocks, exchanges := 0, 0
	for _, sec := range sections {
		if len(sec.examples) == 0 {
			continue
		}
		blocks += len(sec.examples)
		for _, ex := range sec.examples {
			exchanges += strings.Count(strings.Join(ex.transcripts, ""), "< HTTP/1.1 ")
		}
		t.Run(sec.page+"/"+sec.title, func(t *testing.T) { runSection(t, sec, services) })
	}
	if blocks < 100 || exchanges < 50 {
		t.Errorf("only %d blocks and %d exchanges", blocks, exchanges)
	}
}

// A recipe of the cookbook is one script and what it answers.
func TestCookbookIsComplete(t *testing.T) {
	recipes := 0
	for _, sec := range readDocs(t) {
		if sec.page != "docs/cookbook.md" || sec.title == "top" {
			continue
		}
		recipes++
		if len(sec.examples) != 1 || len(sec.examples[0].transcripts) == 0 {
			t.Errorf("%q needs one Lua block and a transcript", sec.title)
		}
	}
	if recipes < 20 {
		t.Errorf("only %d recipes", recipes)
	}
}

// The code in docs/embedding.md is that of programs and examples which are compiled and run.
func TestEmbeddingShowsRealCode(t *testing.T) {
	var code string
	for _, file := range []string{"../examples/embed/main.go", "../runtime/example_test.go", "../server/example_test.go", "../reference/example_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code += string(text)
	}
	page, err := os.ReadFile("../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	blocks := regexp.MustCompile("(?sm)^```(?:go|text)\n(.*?)^```").FindAllStringSubmatch(string(page), -1)
	for _, m := range blocks {
		if !strings.Contains(words(code), words(m[1])) {
			t.Errorf("it is not in the code:\n%s", m[1])
		}
	}
	if len(blocks) < 8 {
		t.Errorf("only %d blocks", len(blocks))
	}
}

// Links between the pages lead to files, and to headings, that exist.
func TestDocsLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	links := 0
	for _, pattern := range append(slices.Clone(docs), "../CHANGELOG.md", "../runtime/RATIONALE.md") {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				links++
				target := page
				if m[1] != "" {
					target = filepath.Join(filepath.Dir(page), m[1])
				}
				if err := checkLink(target, m[2]); err != nil {
					t.Errorf("%s: %s: %v", page, m[0], err)
				}
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links", links)
	}
}

// checkLink looks for a file and for a heading in it: "#host-names" is "## Host names".
func checkLink(file, anchor string) error {
	if anchor == "" {
		_, err := os.Stat(file)
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line && "#"+slug(heading) == anchor {
			return nil
		}
	}
	return fmt.Errorf("there is no such heading")
}

var notInSlugs = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// slug is the anchor that GitHub makes of a heading.
func slug(heading string) string {
	return strings.ReplaceAll(notInSlugs.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-")
}

// luaBlocks returns the Lua blocks of all pages by their place: "docs/scripts.md:9".
func luaBlocks(t *testing.T) map[string]string {
	t.Helper()
	blocks := map[string]string{}
	for _, sec := range readDocs(t) {
		for _, ex := range sec.examples {
			blocks[fmt.Sprintf("%s:%d", sec.page, ex.line)] = ex.script
		}
	}
	return blocks
}

// exampleFiles makes a working directory with the files that examples name.
func exampleFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, file := range []string{"users.txt", "htpasswd", "htdigest", "fortunes.txt"} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("explain.key", []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := pki.Authority(t, "CA")
	for _, name := range []string{"server", "example.net", "example.org"} {
		authority.Server(t, name).Write(t, name+".pem")
	}
}

func loadExample(t *testing.T, example string) error {
	if !strings.Contains(example, "actions =") {
		example += "\nactions = respond 'x'"
	}
	file := filepath.Join(t.TempDir(), "example.lua")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(file, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return p.Close()
}
