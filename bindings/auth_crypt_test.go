package bindings

import (
	"context"
	"strings"
	"testing"
	"time"
)

// What crypt(3), openssl passwd and Apache's htpasswd make of "secret".
var secretHashes = []string{
	"abNANd1rDfiNc",
	"$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
	"$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/",
	"$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
	"$6$rounds=1234$saltsalt$DSBPDUZo0nCMWUbkNmW7RMcfxGS7cBvIvCXqeuthKtjYB6G18g/1OQ8smAgXrYCNdMBsO.kPjvs8iRopadGpI/",
	"$y$j75$abcd1.$b/GKkWcqSdE2oxqw0HDgzY2YHG1bRhaMtthcVzHJ9GA",
	"$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
	"$2a$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
	"$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
	"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
}

func TestPasswordHashes(t *testing.T) {
	for _, hash := range secretHashes {
		check, _, err := parsePasswordHash(hash)
		if err != nil {
			t.Errorf("%s: %v", hash, err)
			continue
		}
		for password, want := range map[string]bool{
			"secret": true, "": false, "Secret": false, "secre": false, "secret\x00": false,
			"secrets": false, strings.Repeat("secret", 100): false,
		} {
			if got := check(password); got != want {
				t.Errorf("%s: %q: %v", hash, password, got)
			}
		}
	}
}

// What crypt(3) and openssl passwd make of other passwords.
func TestPasswordHashVectors(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, tt := range []struct{ password, hash string }{
		{"", "..X8NBuQ4l6uQ"},
		{"", "$1$$qRPK7m23GJusamGpoGLby/"},
		{"", "$apr1$x$tMwYqBfQwi3FYAr0aJc8M/"},
		{"rasmuslerdorf", "rl.3StKT.4T8M"},
		{"12345678", "ab1iBa.N.U2C6"},
		{"12345678 and what DES does not see", "ab1iBa.N.U2C6"},
		{"\xe4\xf6\xfc", "zZ4ln9JwnaENw"},
		{long, "$1$ab$s5cdzXI1VZ8fHADCvf1uE1"},
		{long, "$6$ab$Dl9IhjoQKEbFzT0mHUojnmKfO/iaqCONKYMJae6A6BamPi8p5W8x7BIsEQTkgeX2qGN0TnWVc1L7jgOlphKFW."},
		{long, "$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i"},
		{"Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."},
	} {
		check, _, err := parsePasswordHash(tt.hash)
		if err != nil || !check(tt.password) {
			t.Errorf("%q: %s: does not match, %v", tt.password, tt.hash, err)
		}
	}
}

func TestPasswordHashesThatAreNone(t *testing.T) {
	for _, hash := range []string{
		"secret", "plain text", "abNANd1rDfiN", "abNANd1rDfiNcc", "abNANd1rDfi:c", "$3$x$y", "$2x$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
		"{SHA}", "{SHA}5en6G6MezRroT3XKqkdPOmY/Bf", "{SHA}c2hvcnQ=", "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
		"$1$abcdefgh", "$1$abcdefghi$cHJi5PXp/ki/ktXzqlk6I1", "$apr1$abcdefgh$short", "$2y$05$short", "$2y$99$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
		"$5$salt", "$5$saltstring$short", "$6$rounds=x$saltsalt$DSBPDUZo", "$6$rounds=1234$saltsalt", "$6$rounds=999$saltsalt$" + strings.Repeat("x", 86),
	} {
		if check, _, err := parsePasswordHash(hash); err == nil || check != nil {
			t.Errorf("%s: accepted", hash)
		}
	}
}

func TestAuthHtpasswd(t *testing.T) {
	lines := []string{"empty:", "star:*", "old:secret"}
	users := map[string]int{"empty": 401, "star": 401, "old": 401, "none": 401}
	for i, hash := range secretHashes {
		name := string(rune('a' + i))
		lines, users[name] = append(lines, name+":"+hash), 200
	}
	lines = append(lines, "a:!") // the last line of a name counts
	users["a"] = 401
	s := newGuard(t, authScript("htpasswd", `method = "basic"`), map[string]string{"users": strings.Join(lines, "\n")})
	for name, want := range users {
		for range 2 { // the second time the password is known already
			if got := s.get("/", "Authorization", basic(name, "secret")).Code; got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
			if got := s.get("/", "Authorization", basic(name, "wrong")).Code; got != 401 {
				t.Errorf("%s, wrong password: %d", name, got)
			}
		}
	}
	if log := s.log.String(); strings.Count(log, "WARN") != 1 || !strings.Contains(log, `line 3: \"old\" cannot log in: the password hash is of no known kind`) {
		t.Errorf("log: %s", log)
	}
}

// A check of an unknown user is a check of another one; what a slow check has proved is
// remembered.
func TestSlowChecks(t *testing.T) {
	checks := 0
	newUsers := func() *users {
		u := &users{}
		u.add("quick", &account{check: func(string) bool { return true }})
		u.add("slow", &account{slow: true, check: func(password string) bool { checks++; return password == "secret" }})
		return u
	}
	u := newUsers()
	for i, step := range []struct {
		name, password string
		want           bool
		checks         int // so far
	}{
		{"nobody", "guess", false, 1},
		{"nobody", "secret", false, 2},
		{"slow", "guess", false, 3},
		{"slow", "secret", true, 4},
		{"slow", "secret", true, 4},
		{"slow", "guess", false, 5},
		{"slow", "guess", false, 6},
		{"slow", "secret", true, 6},
	} {
		if got := u.verify(t.Context, step.name, step.password); got != step.want || checks != step.checks {
			t.Errorf("step %d: %v after %d checks, want %v after %d", i, got, checks, step.want, step.checks)
		}
	}
	if u := (&users{}); u.verify(t.Context, "nobody", "") {
		t.Error("somebody logged in without a user")
	}

	for range cap(slowChecks) {
		slowChecks <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if newUsers().verify(func() context.Context { return ctx }, "slow", "secret") || checks != 6 {
		t.Error("too many slow checks at one time")
	}
	for range cap(slowChecks) {
		<-slowChecks
	}
	if !newUsers().verify(t.Context, "slow", "secret") {
		t.Error("no slow check is possible any more")
	}
}

func BenchmarkPasswordHashes(b *testing.B) {
	for _, hash := range secretHashes {
		check, slow, _ := parsePasswordHash(hash)
		b.Run(hash[:4], func(b *testing.B) {
			for b.Loop() {
				check("guess")
			}
		})
		if slow && strings.HasPrefix(hash, "$2y$") {
			a := &account{check: check, slow: true}
			a.verify(b.Context, "secret")
			b.Run(hash[:4]+"-known", func(b *testing.B) {
				for b.Loop() {
					a.verify(b.Context, "secret")
				}
			})
		}
	}
}
