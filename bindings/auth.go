package bindings

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"luaserve/runtime"
)

func authModule() *runtime.Module {
	const common = ` It sets REMOTE_USER and AUTH_TYPE in the environment; who is not known gets a 401. ` +
		`Put it before what answers the request: it does nothing when the request is answered already. ` +
		`A file that cannot be read is an error when the script is loaded; later, users stay as they were.`
	options := []runtime.Param{{Name: "options", Type: runtime.TPairs, Options: describeOptions(authTable, newAuthOptions())}}
	return &runtime.Module{
		Name: "auth",
		Doc: `Asks clients for a user name and a password. With the method "basic" the password crosses the network as it is: use TLS. ` +
			`With "digest" (RFC 7616) it does not, but the file must hold the password or its digest, and who listens can repeat a request for five minutes.`,
		Actions: []runtime.ActionDef{
			{Name: "auth.plain", New: newAuth(parsePlain, true), Params: options,
				Doc:     "Lets users of a file with lines user:password in." + common,
				Example: `actions = { auth.plain { method = "basic", realm = "members", file = "users.txt" }, respond "hello %{req.env[REMOTE_USER]}" }`},
			{Name: "auth.htpasswd", New: newAuth(parseHtpasswd, false), Params: options,
				Doc: `Lets users of a file made by htpasswd in. Hashes can be bcrypt, MD5 (htpasswd -m), SHA-1 ({SHA}) and what crypt(3) makes: SHA-256, SHA-512, yescrypt, MD5 and DES. ` +
					`The method must be "basic".` + common,
				Example: `actions = { when(request.path:prefix "/admin/", { auth.htpasswd { method = "basic", realm = "admin", file = "htpasswd", ttl = 60 } }), respond "hello" }`},
			{Name: "auth.htdigest", New: newAuth(parseHtdigest, true), Params: options,
				Doc: "Lets users of a file made by htdigest in. Only lines of the same realm count. Digests are MD5 or SHA-256; " +
					`for the method "digest" there must be one algorithm that all users of the realm have.` + common,
				Example: `actions = { auth.htdigest { method = "digest", realm = "members", file = "htdigest" }, respond "hello" }`},
			{Name: "auth.deny", New: newDeny(http.StatusForbidden),
				Doc:     "Answers with 403: logging in again would not help.",
				Example: `actions = { when(request.environment["REMOTE_USER"]:ne "admin", { auth.deny() }), respond "hello admin" }`},
		},
		Options: []runtime.Option{{Name: optionAuthDebug, Type: runtime.TBool, Default: false,
			Doc:     "Logs what the auth actions decide, and why. Passwords are never logged.",
			Example: "setup.auth.debug(true)"}},
	}
}

const optionAuthDebug = "auth.debug"

// authOptions are the options of an action.
type authOptions struct {
	method, realm, file string
	ttl                 time.Duration
}

func newAuthOptions() *authOptions { return &authOptions{ttl: 10 * time.Second} }

var authTable = []option[authOptions]{
	needed(stringOption("method", `"basic" or "digest"`, func(o *authOptions) *string { return &o.method })),
	needed(stringOption("realm", "what the browser shows", func(o *authOptions) *string { return &o.realm })),
	needed(stringOption("file", "the file of the users", func(o *authOptions) *string { return &o.file })),
	{name: "ttl", typ: "number", set: (*authOptions).readTTL, get: func(o *authOptions) string { return fmt.Sprint(o.ttl.Seconds()) },
		doc: "after how many seconds the file is read again; 0 is never"},
}

func parseAuthOptions(pairs []runtime.Pair) (*authOptions, error) {
	o := newAuthOptions()
	if err := readOptions(o, authTable, pairs); err != nil {
		return nil, err
	}
	return o, o.check()
}

// maxTTL keeps a ttl within a time.Duration, in seconds.
const maxTTL = 1e9

func (o *authOptions) readTTL(v runtime.Value) error {
	seconds, ok := v.Float()
	if !ok || !(seconds >= 0) {
		return fmt.Errorf("expected a number of seconds, 0 or more, got %s", v)
	}
	o.ttl = time.Duration(min(seconds, maxTTL) * float64(time.Second))
	return nil
}

func (o *authOptions) check() error {
	if o.method != "basic" && o.method != "digest" {
		return fmt.Errorf(`unknown method %q; expected "basic" or "digest"`, o.method)
	}
	for _, c := range []byte(o.realm) {
		if c < ' ' || c == 0x7f {
			return fmt.Errorf("realm: %q has a control character in it", o.realm)
		}
	}
	return nil
}

// authMethod is how clients prove who they are.
type authMethod interface {
	// login returns the user of a request; an error says why there is none.
	login(a *authAction, vr *runtime.VRequest) (user string, err error)
	// challenge adds the fields that ask the client to log in. err is what login returned.
	challenge(a *authAction, vr *runtime.VRequest, err error)
	// scheme is the name of the method in HTTP.
	scheme() string
}

// authAction lets the users of a file in.
type authAction struct {
	method authMethod
	realm  string
	file   *userFile
	debug  runtime.OptionRef
}

func newAuth(parse parseUsers, hasDigests bool) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		o, err := parseAuthOptions(args.Pairs(0))
		if err != nil {
			return nil, err
		}
		a := &authAction{method: basicMethod{}, realm: o.realm, debug: b.Option(optionAuthDebug)}
		if o.method == "digest" {
			if !hasDigests {
				return nil, errors.New(`the method "digest" needs passwords or their digests, and a htpasswd file has neither; use auth.htdigest, or the method "basic"`)
			}
			a.method, parse = digestMethod{}, withCommonDigest(parse)
		}
		a.file, err = openUserFile(b, o.file, o.realm, o.ttl, parse)
		return a, err
	}
}

// Run lets a user pass and answers everybody else with a 401.
func (a *authAction) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		a.explain(vr, "auth: the request is answered already", "status", vr.Response.Status)
		return nil
	}
	vr.Env.Unset("REMOTE_USER")
	vr.Env.Unset("AUTH_TYPE")
	user, err := a.method.login(a, vr)
	vr.Response.Header.Remove("WWW-Authenticate")
	a.method.challenge(a, vr, err)
	if err != nil {
		a.explain(vr, "auth: not logged in", "realm", a.realm, "user", user, "reason", err)
		if !vr.HandleDirect() {
			return errors.New("the request was answered meanwhile")
		}
		vr.Response.Status = http.StatusUnauthorized
		return nil
	}
	a.explain(vr, "auth: logged in", "realm", a.realm, "user", user)
	vr.Env.Set("REMOTE_USER", user)
	vr.Env.Set("AUTH_TYPE", a.method.scheme())
	return nil
}

// explain logs a decision when the option auth.debug is set.
func (a *authAction) explain(vr *runtime.VRequest, msg string, args ...any) {
	if vr.Option(a.debug).(bool) {
		vr.Log().Info(msg, args...)
	}
}

// What is wrong with a login.
var (
	errNoLogin     = errors.New("there is no login of this method in the request")
	errLoginSyntax = errors.New("the Authorization field cannot be read")
	errWrongLogin  = errors.New("unknown user or wrong password")
)

// basicMethod is RFC 7617.
type basicMethod struct{}

func (basicMethod) scheme() string { return "Basic" }

func (basicMethod) login(a *authAction, vr *runtime.VRequest) (user string, err error) {
	credentials, ok := authCredentials(vr, "Basic")
	if !ok {
		return "", errNoLogin
	}
	user, password, ok := basicCredentials(credentials)
	if !ok {
		return "", errLoginSyntax
	}
	if !a.file.current().verify(vr.Context, user, password) {
		return user, errWrongLogin
	}
	return user, nil
}

// challenge is there also when the login was right, as in lighttpd2.
func (basicMethod) challenge(a *authAction, vr *runtime.VRequest, _ error) {
	vr.Response.Header.Insert("WWW-Authenticate", "Basic realm="+quoted(a.realm))
}

// authCredentials returns what follows the scheme in the Authorization field.
func authCredentials(vr *runtime.VRequest, scheme string) (string, bool) {
	got, rest, ok := strings.Cut(vr.Request.Header.Get("Authorization"), " ")
	return rest, ok && strings.EqualFold(got, scheme)
}

// basicCredentials reads the base64 form of user:password.
func basicCredentials(text string) (user, password string, ok bool) {
	text = strings.Trim(text, " \t")
	encoding := base64.StdEncoding
	if !strings.HasSuffix(text, "=") {
		encoding = base64.RawStdEncoding
	}
	data, err := encoding.DecodeString(text)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(data), ":")
}

var quoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quoted is a quoted-string (RFC 9110, 5.6.4).
func quoted(s string) string { return `"` + quoter.Replace(s) + `"` }
