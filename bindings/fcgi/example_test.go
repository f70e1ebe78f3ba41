package fcgi_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	stdfcgi "net/http/fcgi"
	"os"
	"path/filepath"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

func Example() {
	// An application, here in the same process.
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "app.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go stdfcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "hello %s", r.URL.Query().Get("name"))
	}))

	network, address, err := upstream.ParseAddress("unix:" + socket)
	if err != nil {
		log.Fatal(err)
	}
	client := fcgi.NewClient(fcgi.Config{Config: upstream.Config{Network: network, Address: address}})
	defer client.Close()

	resp, err := client.Do(context.Background(), &fcgi.Request{Params: []fcgi.Param{
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "HTTP_HOST", Value: "example.net"},
		{Name: "REQUEST_URI", Value: "/?name=world"},
	}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status, string(body))
	// Output: 200 hello world
}
