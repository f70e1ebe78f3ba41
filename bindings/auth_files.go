package bindings

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/runtime"
	"luaserve/runtime/luaio"
)

// userFile is a file of users. It is read again, when a request needs it, a while after it
// was read last. A file that cannot be read then leaves the users as they were.
type userFile struct {
	path, realm string
	parse       parseUsers
	ttl         time.Duration // 0: never read again
	log         *slog.Logger
	files       luaio.Options

	users atomic.Pointer[users]
	start time.Time
	next  atomic.Int64 // when to read again, counted from start

	mu      sync.Mutex        // held while reading again
	sum     [sha256.Size]byte // of the text that the users are from
	problem string            // of the last reading, so that it is logged once
}

// openUserFile reads the file for the first time.
func openUserFile(b *runtime.Builder, path, realm string, ttl time.Duration, parse parseUsers) (*userFile, error) {
	f := &userFile{path: path, realm: realm, parse: parse, ttl: ttl, log: b.Log(), files: b.Files(), start: time.Now()}
	if err := f.files.Contains(path); err != nil {
		return nil, err
	}
	f.next.Store(int64(ttl))
	return f, f.read()
}

// current returns the users as the file says, or said a short while ago.
func (f *userFile) current() *users {
	if f.ttl > 0 {
		if now := time.Since(f.start); int64(now) >= f.next.Load() && f.mu.TryLock() {
			f.next.Store(int64(now + f.ttl))
			f.readAgain()
		}
	}
	return f.users.Load()
}

// readAgain needs mu to be locked, and unlocks it.
func (f *userFile) readAgain() {
	defer f.mu.Unlock()
	err := f.read()
	switch {
	case err == nil:
		f.problem = ""
	case err.Error() != f.problem:
		f.problem = err.Error()
		f.log.Error("the users stay as they were", "error", err)
	}
}

// read reads the file. When the text is the same as before, so are the users.
func (f *userFile) read() error {
	data, err := f.files.ReadFile(f.path)
	if err != nil {
		return err
	}
	sum, first := sha256.Sum256(data), f.users.Load() == nil
	if !first && sum == f.sum {
		return nil
	}
	u, err := f.parse(string(data), f.realm)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	for _, warning := range u.warnings {
		f.log.Warn(warning, "file", f.path)
	}
	if !first {
		f.log.Info("the users were read again", "file", f.path)
	}
	f.sum = sum
	f.users.Store(u)
	return nil
}

// users are the accounts of one file, for one realm. They do not change.
type users struct {
	accounts map[string]*account
	// decoy is checked in place of an unknown user's account, so that the time of an answer
	// does not tell which names exist; nil when there is no account.
	decoy    *account
	offered  digestSet // for the method "digest"
	warnings []string
}

// account is one user.
type account struct {
	check   passwordCheck
	slow    bool       // check takes milliseconds, on purpose
	digests digestList // for the method "digest"
	proved  atomic.Pointer[[sha256.Size]byte]
}

// find returns the account of a user; for an unknown one the decoy, which may be nil.
func (u *users) find(name string) (a *account, known bool) {
	if a, known = u.accounts[name]; known {
		return a, true
	}
	return u.decoy, false
}

// verify reports whether the password is the user's.
func (u *users) verify(ctx func() context.Context, name, password string) bool {
	a, known := u.find(name)
	return a != nil && a.verify(ctx, password) && known
}

// add adds an account; the last one of a name counts.
func (u *users) add(name string, a *account) {
	if u.accounts == nil {
		u.accounts = map[string]*account{}
	}
	if u.decoy == nil || a.slow && !u.decoy.slow {
		u.decoy = &account{check: a.check, slow: a.slow, digests: a.digests}
	}
	u.accounts[name] = a
}

func (u *users) warn(line int, format string, args ...any) {
	u.warnings = append(u.warnings, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}

// slowChecks bounds the slow checks at one time, so that guessing passwords cannot take
// all the memory: yescrypt wants 16 MB a check.
var slowChecks = make(chan struct{}, max(2, goruntime.GOMAXPROCS(0)))

// verify checks a password. A browser sends it with every request, so the one that a slow
// check has found right is remembered, as an HMAC.
func (a *account) verify(ctx func() context.Context, password string) bool {
	if !a.slow {
		return a.check(password)
	}
	sum := keyed("password", password)
	if proved := a.proved.Load(); proved != nil && hmac.Equal(proved[:], sum[:]) {
		return true
	}
	select {
	case slowChecks <- struct{}{}:
	default:
		select {
		case slowChecks <- struct{}{}:
		case <-ctx().Done():
			return false
		}
	}
	defer func() { <-slowChecks }()
	ok := a.check(password)
	if ok {
		a.proved.Store(&sum)
	}
	return ok
}

// serverSecret is the key of what only this process needs to recognise.
var serverSecret = sync.OnceValue(func() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
})

// keyed returns an HMAC of the texts under [serverSecret]. All but the last must be free of NUL.
func keyed(texts ...string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, serverSecret())
	mac.Write([]byte(strings.Join(texts, "\x00")))
	mac.Sum(sum[:0])
	return sum
}

// parseUsers reads the text of a file, for a realm.
type parseUsers func(text, realm string) (*users, error)

var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// eachUser calls f for every line "user:rest". Empty lines are skipped, and that is all:
// blanks belong to the names, and "#" begins no comment (lighttpd2).
func (u *users) eachUser(text string, f func(line int, name, rest string) error) error {
	for i, line := range strings.Split(newlines.Replace(text), "\n") {
		if line == "" {
			continue
		}
		name, rest, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf(`line %d: expected a user name and ":"`, i+1)
		}
		if name == "" {
			u.warn(i+1, "an empty user name is ignored")
			continue
		}
		if err := f(i+1, name, rest); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// parsePlain reads lines user:password. A password may have colons in it, and be empty.
func parsePlain(text, realm string) (*users, error) {
	u := &users{}
	return u, u.eachUser(text, func(_ int, name, password string) error {
		want := sha256.Sum256([]byte(password))
		a := &account{check: func(given string) bool {
			got := sha256.Sum256([]byte(given))
			return hmac.Equal(got[:], want[:])
		}}
		for i := range digestAlgorithms {
			a.digests[i] = digestAlgorithms[i].hex(name, realm, password)
		}
		u.add(name, a)
		return nil
	})
}

// parseHtpasswd reads lines user:hash. Who has an empty hash, or one that nobody can
// check, cannot log in.
func parseHtpasswd(text, _ string) (*users, error) {
	u := &users{}
	return u, u.eachUser(text, func(line int, name, hash string) error {
		delete(u.accounts, name)
		if locked(hash) {
			return nil
		}
		check, slow, err := parsePasswordHash(hash)
		if err != nil {
			u.warn(line, "%q cannot log in: %v", name, err)
			return nil
		}
		u.add(name, &account{check: check, slow: slow})
		return nil
	})
}

// locked reports whether an entry is meant to be one that no password fits.
func locked(hash string) bool { return hash == "" || hash[0] == '!' || hash[0] == '*' }

// parseHtdigest reads lines user:realm:digest and leaves out those of other realms. A
// realm may have colons in it. A user can have a line for each algorithm.
func parseHtdigest(text, realm string) (*users, error) {
	u := &users{}
	err := u.eachUser(text, func(line int, name, rest string) error {
		colon := strings.LastIndexByte(rest, ':')
		if colon < 0 {
			return fmt.Errorf(`expected ":" between realm and digest`)
		}
		digest := strings.ToLower(rest[colon+1:])
		if rest[:colon] != realm || locked(digest) {
			return nil
		}
		bytes, err := hex.DecodeString(digest)
		for i := range digestAlgorithms {
			alg := &digestAlgorithms[i]
			if err == nil && len(bytes) == alg.size {
				u.addDigest(name, realm, i, digest)
				return nil
			}
		}
		u.warn(line, "%q cannot log in: the digest is neither 32 nor 64 hexadecimal digits", name)
		return nil
	})
	if len(u.accounts) == 0 {
		u.warnings = append(u.warnings, fmt.Sprintf("nobody can log in: there is no user of the realm %q", realm))
	}
	return u, err
}

func (u *users) addDigest(name, realm string, i int, digest string) {
	a := &account{}
	if old := u.accounts[name]; old != nil {
		a.digests = old.digests
	}
	a.digests[i] = digest
	digests := a.digests
	a.check = func(password string) bool {
		for i, want := range digests {
			if want != "" {
				return sameText(digestAlgorithms[i].hex(name, realm, password), want)
			}
		}
		return false
	}
	u.add(name, a)
}
