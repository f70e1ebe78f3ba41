package lint

import (
	"testing"

	"luaserve/bindings"
)

// Each action whose effect is known is one that there is.
func TestEffectsAreOfActions(t *testing.T) {
	actions := map[string]bool{}
	for _, m := range bindings.Modules() {
		for _, a := range m.Actions {
			actions[a.Name] = true
		}
	}
	for name := range effects {
		if !actions[name] {
			t.Errorf("there is no action %q", name)
		}
	}
}
