package runtime

import (
	"os"
	"strings"
	"testing"
)

// docs/security.md names each function that a level refuses.
func TestSandboxIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range libraryRules {
		if !strings.Contains(string(doc), "`"+rule.name+"`") {
			t.Errorf("docs/security.md does not name %s", rule.name)
		}
	}
}
