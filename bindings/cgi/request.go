package cgi

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"luaserve/bindings/fcgi"
)

// Request is one run of a program. [Runner.Do] does not change it.
type Request struct {
	Program string   // path, absolute
	Args    []string // arguments behind the program's name
	// Dir is the working directory; "" means that of the program (RFC 3875 section 7.2).
	Dir string
	// Env are entries of the environment, "NAME=value". Params outrank them.
	Env []string
	// Params are the meta-variables. A REQUEST_METHOD among them decides whether the
	// response has a body. CONTENT_LENGTH is left out: it is made of Length, and there is
	// none without a body (RFC 3875 section 4.1.2).
	Params []fcgi.Param
	// Body is the request body. It is not used when Length is 0. It may be read until the
	// response body has ended or was closed, and one Read may outlast that.
	Body io.Reader
	// Length is the number of bytes to take from Body; fewer are an error.
	Length int64
	// Stderr gets the lines that the program writes to stderr, without their newline. A
	// line of more than 8 KiB comes in pieces. It is called by a goroutine of its own,
	// which may outlive the request. Nil drops them.
	Stderr func(line string)
}

// dir returns the working directory.
func (r *Request) dir() string {
	if r.Dir != "" {
		return r.Dir
	}
	return filepath.Dir(r.Program)
}

// bodiless reports whether a response of this status has no body.
func (r *Request) bodiless(status int) bool {
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return true
	}
	for i := range r.Params {
		if r.Params[i].Name == "REQUEST_METHOD" {
			return r.Params[i].Value == http.MethodHead
		}
	}
	return false
}

// environment returns the environment of the process. Of several entries of a name the last
// one counts; os/exec sees to that.
func (r *Request) environment() ([]string, error) {
	env := make([]string, 0, len(r.Env)+len(r.Params)+1)
	env = append(env, r.Env...)
	for i := range r.Params {
		p := &r.Params[i]
		if p.Name == "" || strings.ContainsAny(p.Name, "=\x00") {
			return nil, fmt.Errorf("no variable can have the name %q", p.Name)
		}
		if strings.IndexByte(p.Value, 0) >= 0 {
			return nil, fmt.Errorf("the variable %q has a NUL in it", p.Name)
		}
		if p.Name != "CONTENT_LENGTH" {
			env = append(env, p.Name+"="+p.Value)
		}
	}
	if r.Length > 0 {
		env = append(env, "CONTENT_LENGTH="+strconv.FormatInt(r.Length, 10))
	}
	return env, nil
}
