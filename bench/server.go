package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// server is one of those that are compared.
type server struct {
	name    string
	program string
	version []string // the arguments that print the version
	// configure writes what the server needs into the directory of the site, and returns
	// the arguments that make it serve the site and stay in the foreground.
	configure func(s site) ([]string, error)
}

// unsupported says why a server cannot do a workload.
type unsupported string

func (u unsupported) Error() string { return string(u) }

// peers returns luaserve and those it is compared with.
func peers(luaserve string) []server {
	return []server{
		{"luaserve", luaserve, []string{"version"}, configureLuaserve},
		{"nginx", "nginx", []string{"-v"}, configureNginx},
		{"lighttpd", "lighttpd", []string{"-v"}, configureLighttpd},
		{"haproxy", "haproxy", []string{"-v"}, configureHAProxy},
		{"caddy", "caddy", []string{"version"}, configureCaddy},
	}
}

// find returns where a program is. Debian keeps servers where only root looks.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}

// printVersion returns the first line that the program prints about itself.
func (s server) printVersion() (string, error) {
	out, err := exec.Command(s.program, s.version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", s.program, strings.Join(s.version, " "), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), nil
}

// site is what a server is to serve, and with what.
type site struct {
	workload
	dir           string // the server's own, for its configuration and temporary files
	addr          string // host:port
	htdocs        string
	fastcgiSocket string
	httpSocket    string
	workers       int
	connections   int
}

func (s site) write(name, content string) (string, error) {
	file := filepath.Join(s.dir, name)
	return file, os.WriteFile(file, []byte(content), 0o644)
}

// freeAddr returns an address of this machine that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
