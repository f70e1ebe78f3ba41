package runtime

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The index of texts finds what looking at each text finds, from any rule on.
func TestTextIndex(t *testing.T) {
	values := []string{""}
	for i := 0; len(values[i]) < 6; i++ {
		values = append(values, values[i]+"a", values[i]+"B")
	}
	rapid.Check(t, func(t *rapid.T) {
		var entries []entry
		rules := int32(rapid.SampledFrom([]int{5, 100}).Draw(t, "rules"))
		for rule := range rules {
			place := rapid.SampledFrom([]place{isWithin, isWithin, isSuffix, isPrefix, isEqual}).Draw(t, "place")
			text := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 4, -1).Draw(t, "text")
			entries = append(entries, entry{textNeed{place, text}, rule})
		}
		index := newTextIndex(slices.Clone(entries))
		from := rapid.Int32Range(0, rules).Draw(t, "from")
		for _, value := range values {
			var want []int32
			for _, e := range entries {
				if e.rule >= from && e.met(value) {
					want = append(want, e.rule)
				}
			}
			if got := collectAll(&index, value, from); !slices.Equal(got, want) {
				t.Fatalf("%v on %q from %d\n got %v\nwant %v", entries, value, from, got, want)
			}
		}
	})
}

// collectAll asks again behind the last rule until there is no other.
func collectAll(x *textIndex, value string, from int32) (all []int32) {
	for {
		var f found
		x.collect(value, from, &f)
		all = append(all, f.rules[:f.n]...)
		if !f.more {
			return all
		}
		from = all[len(all)-1] + 1
	}
}

// The index of networks finds those that an address is in.
func TestNetworkIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address := func() netip.Addr { // near others
			b := []byte{0: 10, 15: 0}
			if rapid.Bool().Draw(t, "4") {
				b = b[:4]
			}
			for range 3 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= rapid.SampledFrom([]byte{0, 1, 0x80, 0x20}).Draw(t, "bit")
			}
			a, _ := netip.AddrFromSlice(b)
			return a
		}
		var networks []netip.Prefix
		var entries []entry
		for rule := range int32(100) {
			a := address()
			p := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
			networks = append(networks, p)
			entries = append(entries, entry{textNeed{isInNetwork, networkText(p)}, rule})
		}
		table := newTextTable(entries)
		a, from := address(), rapid.Int32Range(0, 100).Draw(t, "from")
		var got, want []int32
		for rule := from; rule < 100; rule++ {
			if networks[rule].Contains(a) {
				want = append(want, rule)
			}
		}
		for next := from; ; {
			var f found
			table.collectAddress(a, next, &f)
			got = append(got, f.rules[:f.n]...)
			if !f.more {
				break
			}
			next = got[len(got)-1] + 1
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v in %v from %d\n got %v\nwant %v", a, networks, from, got, want)
		}
	})
}

func TestRegexNeeds(t *testing.T) {
	for expr, want := range map[string]string{
		`^/user/([a-z]+)$`:       `prefix "/user/"`,
		`^/index\.html$`:         `equal "/index.html"`,
		`\.(css|js)$`:            `suffix ".css" | suffix ".js"`,
		`^/a.*\.php$`:            `prefix "/a", suffix ".php"`,
		`^/(a|b)/x`:              `prefix "/a/x" | prefix "/b/x"`,
		`/wp-(login|admin)\.php`: `within "/wp-login.php" | within "/wp-admin.php"`,
		`(?i)\.JPE?G$`:           `suffix ".jpg" | suffix ".jpeg"`,
		`^https?://`:             `prefix "http://" | prefix "https://"`,
		`(^|/)\.git`:             `within ".git" | within "/.git"`,
		`(shop/.*|blog\d+)x`:     `within "shop/" | within "blog"`,
		`a(bc)+d`:                `within "abc"`,
		`(abc){2,3}`:             `within "abc"`,
		`^[/]+[0-9]{4}ab`:        `prefix "/", within "ab"`,
		`(?m)^foo$`:              `within "foo"`,
		`x|.*`:                   ``,
		`^.$`:                    ``,
		`ä`:                      ``,
		`\x{e4}bc`:               `within "bc"`,
		`a$b^`:                   `within "ab"`,
		`()`:                     ``,
		`^$`:                     `equal ""`,
		`(?:` + strings.Repeat("(?:ab|", 500) + "cd" + strings.Repeat(")", 501): `within "ab" | within "cd"`,
	} {
		var sets []string
		for _, set := range regexNeeds(expr) {
			var texts []string
			for _, n := range set {
				texts = append(texts, fmt.Sprintf("%s %q", [...]string{"equal", "prefix", "suffix", "network", "within"}[n.place], n.text))
			}
			sets = append(sets, strings.Join(texts, " | "))
		}
		if got := strings.Join(sets, ", "); got != want {
			t.Errorf("%s\n got %s\nwant %s", expr, got, want)
		}
	}
}

// No expression matches a subject without what it needs.
func FuzzRegexNeeds(f *testing.F) {
	for _, expr := range []string{`^/(a|b).*\.php$`, `(?i)k[sS]+$`, `(^|x)(ab)?c{2,}`, `((a.|b)|c)$`, `\x{17f}a`, `(?s:.)ab\z`, `\bab\B|(?m)^x$`, `[^a-z]x?`} {
		f.Add(expr, "/b/AB.php")
		f.Add(expr, "xabcc\xe4\nx")
	}
	f.Fuzz(func(t *testing.T, expr, subject string) {
		re, err := CompileRegex(expr)
		if err != nil || !re.Matches(subject) {
			return
		}
		for _, set := range re.needs() {
			if !slices.ContainsFunc(set, func(n textNeed) bool { return n.met(subject) }) {
				t.Fatalf("%q matches %q, but not %v", expr, subject, set)
			}
		}
	})
}
