package runtime_test

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"

	"luaserve/runtime"
)

type account struct {
	Name   string
	Owner  *person
	Tags   []string
	Limits map[string]int
	Secret string
	hits   atomic.Int64
}

type person struct{ Email, Phone string }

func (a *account) Greet(who string) string { return "hello " + who + " from " + a.Name }
func (a *account) Hit() int64              { return a.hits.Add(1) }
func (a *account) Boss() *person           { return a.Owner }
func (a *account) Fail() (string, error)   { return "", fmt.Errorf("not today") }
func (a *account) Wipe()                   { a.Name = "" }
func (p *person) Delete()                  { p.Email = "" }
func (p *person) Domain() string           { _, d, _ := strings.Cut(p.Email, "@"); return d }

func loadHost(t *testing.T, script string, host map[string]runtime.HostValue) (*site, error) {
	t.Helper()
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.Host = host
	p, err := runtime.Load(writeScript(t, script), cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { p.Close() })
	return &site{p, log}, nil
}

func testAccount() *account {
	return &account{Name: "acme", Owner: &person{"boss@acme.test", "555"}, Tags: []string{"a", "b"}, Limits: map[string]int{"max": 7}, Secret: "hidden"}
}

func TestHostValues(t *testing.T) {
	acc := testAccount()
	s, err := loadHost(t, say+`
local name = account.Name -- at load time too
actions = function(vr)
  local try = function(f) local ok, v = pcall(f); return tostring(ok) end
  say(vr, table.concat({
    name, account:Greet("lua"), double(21), account.Owner.Email, account:Boss().Email, #account.Tags .. account.Tags[2], account.Limits.max,
    try(function() return account.Secret end),
    try(function() return account:Wipe() end),
    try(function() return account.Owner.Phone end),
    try(function() return account.Owner:Delete() end),
    try(function() return account:Boss().Phone end),
    try(function() account.Secret = "x" end),
    tostring(getmetatable(account)),
  }, " "))
end`, map[string]runtime.HostValue{
		"account": {Value: acc, Allow: []string{"Name", "Greet", "Owner", "Owner.Email", "Boss", "Boss.Email", "Tags", "Limits"}},
		"double":  {Value: func(n int) int { return 2 * n }},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "acme hello lua from acme 42 boss@acme.test boss@acme.test 2b 7 false false false false false false <account>"
	s.wantStates(t, goruntime.GOMAXPROCS(0))
	parallel(100, func(int) {
		if status, body := s.get("/"); body != want {
			t.Errorf("status %d\n got %s\nwant %s\n%s", status, body, want, s.log)
		}
	})
	if acc.Name != "acme" || acc.Owner.Email == "" {
		t.Error("a script called what was not named")
	}
}

// One Go value behind all states: what they do to it adds up.
func TestHostValueIsSharedByStates(t *testing.T) {
	acc := testAccount()
	s, err := loadHost(t, say+`actions = function(vr) say(vr, account:Hit()) end`,
		map[string]runtime.HostValue{"account": {Value: acc, Allow: []string{"Hit"}}})
	if err != nil {
		t.Fatal(err)
	}
	parallel(200, func(int) { s.get("/") })
	if n := acc.hits.Load(); n != 200 {
		t.Errorf("%d hits, want 200", n)
	}
}

func TestHostValueErrors(t *testing.T) {
	for name, hv := range map[string]runtime.HostValue{
		`no exported field or method "Nme"`: {Value: testAccount(), Allow: []string{"Nme"}},
		`"hits"`:                            {Value: testAccount(), Allow: []string{"hits"}},
		"cannot be given to scripts":        {Value: make(chan int)},
		"nil function":                      {Value: (func())(nil)},
	} {
		_, err := loadHost(t, `actions = respond "x"`, map[string]runtime.HostValue{"v": hv})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q in it", err, name)
		}
	}
}
