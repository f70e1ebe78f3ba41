package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// kind is what a server has to do for a request.
type kind int

const (
	fixedAnswer kind = iota
	luaHandler
	staticFile
	fastCGI
	httpProxy
	prefixRules
	regexRules
	equalRules
	suffixRules
	mixedRules // one after another: prefix, equality, suffix, regular expression
	elseRules  // each is the else of the one before it
	virtualHosts
)

// workload is one kind of work that every server is configured for.
type workload struct {
	Name string
	Doc  string
	kind kind
	n    int        // number of rules or hosts, size of the file in bytes
	ask  []exchange // the first is measured, all are verified
}

const (
	hostName   = "bench.example"
	fixedBody  = "hello, world"
	ruleBody   = "the rule matched"
	ruleHeader = "X-Rule"
	pathHeader = "X-Path"
)

func workloads() []workload {
	list := []workload{
		{Name: "fixed", Doc: "a short answer that stands in the configuration", kind: fixedAnswer,
			ask: []exchange{{path: "/", status: 200, body: []byte(fixedBody)}}},
		{Name: "close", Doc: "the same, with a connection for each request", kind: fixedAnswer,
			ask: []exchange{{path: "/", closes: true, status: 200, body: []byte(fixedBody)}}},
		{Name: "lua", Doc: "a Lua handler reads path and Host, sets a header, builds a body", kind: luaHandler,
			ask: []exchange{luaExchange("/some/page"), luaExchange("/other")}},
		staticWorkload("static-1k", "a file of 1 KB", 1<<10),
		staticWorkload("static-100k", "a file of 100 KB", 100<<10),
		{Name: "fastcgi", Doc: "a FastCGI application behind a Unix socket", kind: fastCGI,
			ask: []exchange{{path: "/app", status: 200, body: []byte(upstreamBody)}}},
		{Name: "proxy", Doc: "an HTTP server behind a Unix socket", kind: httpProxy,
			ask: []exchange{{path: "/app", status: 200, body: []byte(upstreamBody)}}},
	}
	for _, n := range []int{1, 10, 1000, 10000} {
		list = append(list, ruleWorkload("prefix", "path prefix", prefixRules, n, "/p%05d/page"))
	}
	for _, n := range []int{1, 10, 1000, 10000} {
		list = append(list, ruleWorkload("regex", "regular expression", regexRules, n, "/r%05d/42.html"))
	}
	for _, n := range []int{10, 1000, 10000} {
		list = append(list,
			ruleWorkload("equal", "path", equalRules, n, "/e%05d/page"),
			ruleWorkload("suffix", "path suffix", suffixRules, n, "/x/page.s%05d"),
			ruleWorkload("mixed", "prefix, path, suffix or regular expression", mixedRules, n, "/m%05d/42.html"),
			ruleWorkload("else", "path prefix, each the else of the one before it", elseRules, n, "/p%05d/page"))
	}
	return append(list, hostWorkload(10000))
}

func luaExchange(path string) exchange {
	return exchange{path: path, status: 200, header: [2]string{pathHeader, path}, body: []byte("hello " + hostName + path)}
}

func staticWorkload(name, doc string, size int) workload {
	return workload{Name: name, Doc: doc, kind: staticFile, n: size,
		ask: []exchange{{path: "/" + fileName(size), status: 200, body: fileBody(size)}, {path: "/missing.html", status: 404}}}
}

func ruleWorkload(name, doc string, k kind, n int, path string) workload {
	if n == 1 {
		doc = "one rule with a " + doc
	} else {
		doc = fmt.Sprintf("%s rules with a %s; the last one matches", thousands(n), doc)
	}
	w := workload{Name: fmt.Sprintf("%s-%d", name, n), Doc: doc, kind: k, n: n, ask: []exchange{{path: "/none", status: 404}}}
	for _, i := range firstMiddleLast(n) {
		w.ask = append([]exchange{ruleExchange("", fmt.Sprintf(path, i), i)}, w.ask...)
	}
	return w
}

func hostWorkload(n int) workload {
	w := workload{Name: fmt.Sprintf("vhosts-%d", n), Doc: thousands(n) + " virtual hosts; the last one is asked for",
		kind: virtualHosts, n: n, ask: []exchange{{host: "none.example", path: "/", status: 404}}}
	for _, i := range firstMiddleLast(n) {
		w.ask = append([]exchange{ruleExchange(vhostName(i), "/", i)}, w.ask...)
	}
	return w
}

func ruleExchange(host, path string, rule int) exchange {
	return exchange{host: host, path: path, status: 200, header: [2]string{ruleHeader, fmt.Sprint(rule)}, body: []byte(ruleBody)}
}

func vhostName(i int) string { return fmt.Sprintf("h%05d.%s", i, hostName) }

// firstMiddleLast picks the rules that are verified.
func firstMiddleLast(n int) []int {
	if n == 1 {
		return []int{1}
	}
	return []int{1, n / 2, n}
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func fileName(size int) string { return fmt.Sprintf("file-%d.html", size) }

// fileBody is the content of a file of a size: lines, so that a wrong offset shows.
func fileBody(size int) []byte {
	var b bytes.Buffer
	for line := 1; b.Len() < size; line++ {
		fmt.Fprintf(&b, "<p>line %d of a page that is as good as any other</p>\n", line)
	}
	return b.Bytes()[:size]
}

// writeFiles makes the document root that all servers share.
func writeFiles(dir string) error {
	for _, w := range workloads() {
		if w.kind != staticFile {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, fileName(w.n)), fileBody(w.n), 0o644); err != nil {
			return err
		}
	}
	return nil
}
