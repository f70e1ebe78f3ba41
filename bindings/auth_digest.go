package bindings

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"net/url"
	"strings"
	"time"

	"luaserve/runtime"
)

// digestAlgorithm is a hash of RFC 7616.
type digestAlgorithm struct {
	name string
	size int
	new  func() hash.Hash
}

// digestAlgorithms are offered in this order; clients take the first that they know.
var digestAlgorithms = [...]digestAlgorithm{
	{"SHA-256", sha256.Size, sha256.New},
	{"MD5", md5.Size, md5.New},
}

// digestList holds H(user:realm:password) in hexadecimal for each algorithm, "" where it is
// not known; digestSet are some of the algorithms.
type (
	digestList [len(digestAlgorithms)]string
	digestSet  [len(digestAlgorithms)]bool
)

// hex returns H of the parts with colons between them, in hexadecimal.
func (a *digestAlgorithm) hex(parts ...string) string {
	h := a.new()
	for i, part := range parts {
		if i > 0 {
			h.Write([]byte{':'})
		}
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// withCommonDigest offers the algorithms that suit all users of a file: a client chooses
// one before anybody knows who it is. A file for which there is none is refused.
func withCommonDigest(parse parseUsers) parseUsers {
	return func(text, realm string) (*users, error) {
		u, err := parse(text, realm)
		if err != nil {
			return nil, err
		}
		for i := range u.offered {
			u.offered[i] = true
			for _, a := range u.accounts {
				u.offered[i] = u.offered[i] && a.digests[i] != ""
			}
		}
		if u.offered != (digestSet{}) {
			return u, nil
		}
		return nil, errors.New("some users of the realm have MD5 digests only, others SHA-256 digests only; give all of them one kind")
	}
}

// digestMethod is RFC 7616 with qop=auth.
type digestMethod struct{}

func (digestMethod) scheme() string { return "Digest" }

// errStaleNonce says that only the nonce of a login was wrong.
var errStaleNonce = errors.New("the nonce is too old")

func (digestMethod) login(a *authAction, vr *runtime.VRequest) (user string, err error) {
	credentials, ok := authCredentials(vr, "Digest")
	if !ok {
		return "", errNoLogin
	}
	params, ok := authParams(credentials)
	if !ok {
		return "", errLoginSyntax
	}
	user, ok = digestUser(params)
	if !ok {
		return "", errLoginSyntax
	}
	switch {
	case params["realm"] != a.realm:
		return user, errors.New("the login is for another realm")
	case params["qop"] != "auth":
		return user, errors.New("the login does not use qop=auth")
	case !sameTarget(params["uri"], vr.Request.URI.RawOrigPath):
		return user, errors.New("the login is for another URI")
	case params["cnonce"] == "" || !isNonceCount(params["nc"]):
		return user, errLoginSyntax
	}
	if !a.file.current().verifyDigest(user, vr.Request.Method, params) {
		return user, errWrongLogin
	}
	if !nonceIsFresh(params["nonce"], a.realm, time.Now()) {
		return user, errStaleNonce
	}
	return user, nil
}

// challenge offers the algorithms, each in a field of its own. stale tells a client that
// knows the password to try again without asking its user.
func (digestMethod) challenge(a *authAction, vr *runtime.VRequest, err error) {
	if err == nil {
		return
	}
	rest := `, nonce="` + newNonce(a.realm, time.Now()) + `", charset=UTF-8`
	if errors.Is(err, errStaleNonce) {
		rest += ", stale=true"
	}
	for i, ok := range a.file.current().offered {
		if ok {
			vr.Response.Header.Insert("WWW-Authenticate",
				"Digest realm="+quoted(a.realm)+`, qop="auth", algorithm=`+digestAlgorithms[i].name+rest)
		}
	}
}

// verifyDigest compares the response of a client with the one that its user's password
// gives (RFC 7616, 3.4.1).
func (u *users) verifyDigest(name, method string, params map[string]string) bool {
	algorithm := params["algorithm"]
	if algorithm == "" {
		algorithm = "MD5"
	}
	for i := range digestAlgorithms {
		alg := &digestAlgorithms[i]
		if !u.offered[i] || !strings.EqualFold(algorithm, alg.name) {
			continue
		}
		account, known := u.find(name)
		if account == nil {
			return false
		}
		want := alg.hex(account.digests[i], params["nonce"], params["nc"], params["cnonce"], params["qop"], alg.hex(method, params["uri"]))
		return sameText(strings.ToLower(params["response"]), want) && known
	}
	return false
}

// digestUser returns the user name, which can be in two forms (RFC 7616, 3.4).
func digestUser(params map[string]string) (string, bool) {
	plain, isPlain := params["username"]
	encoded, isEncoded := params["username*"]
	switch {
	case strings.EqualFold(params["userhash"], "true"), isPlain == isEncoded:
		return "", false
	case isPlain:
		return plain, true
	}
	charset, rest, _ := strings.Cut(encoded, "'")
	_, name, ok := strings.Cut(rest, "'")
	name, err := url.PathUnescape(name)
	return name, ok && err == nil && strings.EqualFold(charset, "UTF-8")
}

// sameTarget compares the uri of a login with the target of the request, which may have
// been made absolute or relative on the way.
func sameTarget(uri, target string) bool {
	if i := strings.Index(uri, "://"); i >= 0 && !strings.HasPrefix(uri, "/") {
		if uri = uri[i+3:]; strings.IndexByte(uri, '/') < 0 {
			return target == "/"
		}
		uri = uri[strings.IndexByte(uri, '/'):]
	}
	return uri == target
}

func isNonceCount(s string) bool {
	return len(s) == 8 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// nonceLife is how long a nonce is good for.
const nonceLife = 5 * time.Minute

// A nonce is the time in seconds, 8 random bytes and 16 bytes of an HMAC of both and of
// the realm: the server need not remember the nonces that it gave out.
const (
	nonceHead = 16
	nonceSize = 32
)

func newNonce(realm string, now time.Time) string {
	var b [nonceSize]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.Unix()))
	rand.Read(b[8:nonceHead])
	mac := keyed("nonce", realm, string(b[:nonceHead]))
	copy(b[nonceHead:], mac[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func nonceIsFresh(nonce, realm string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != nonceSize {
		return false
	}
	mac := keyed("nonce", realm, string(b[:nonceHead]))
	age := now.Unix() - int64(binary.BigEndian.Uint64(b[:8]))
	return hmac.Equal(mac[:nonceSize-nonceHead], b[nonceHead:]) && age >= 0 && age < int64(nonceLife/time.Second)
}

// authParams reads name=value, name="value", … (RFC 9110, 11.2). The names come out in
// lower case; one that is there twice is an error.
func authParams(s string) (map[string]string, bool) {
	params := map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return params, true
		}
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		if !ok || !runtime.ValidFieldName(name) {
			return nil, false
		}
		value, rest, ok := authValue(strings.TrimLeft(rest, " \t"))
		if _, twice := params[name]; !ok || twice {
			return nil, false
		}
		params[name] = value
		if s = strings.TrimLeft(rest, " \t"); s != "" && s[0] != ',' {
			return nil, false
		}
	}
}

// authValue reads a token or a quoted-string from the beginning of s.
func authValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], runtime.ValidFieldName(s[:end])
	}
	var out []byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return string(out), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			out = append(out, s[i])
		default:
			out = append(out, c)
		}
	}
	return "", "", false
}
