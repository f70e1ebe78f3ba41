// Command upstream is the backend of the measurements: a FastCGI application and an HTTP
// server on two Unix sockets. It is a process of its own, so that its work is not counted
// as that of the server in front of it.
//
//	upstream FASTCGI-SOCKET HTTP-SOCKET BODY
//
// It prints "ready" when both sockets listen, answers every request with BODY, and keeps
// connections open when the client wants that.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: upstream FASTCGI-SOCKET HTTP-SOCKET BODY")
	}
	body := os.Args[3]
	fastcgi := listen(os.Args[1])
	plain := listen(os.Args[2])
	fmt.Println("ready")
	go accept(fastcgi, func(c net.Conn) error { return serveFastCGI(c, body) })
	accept(plain, func(c net.Conn) error { return serveHTTP(c, body) })
}

func listen(socket string) net.Listener {
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	return l
}

func accept(l net.Listener, serve func(net.Conn) error) {
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			if err := serve(c); err != nil && err != io.EOF {
				log.Print(err)
			}
		}()
	}
}

// serveHTTP answers requests without a body.
func serveHTTP(c io.ReadWriter, body string) error {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return err
		}
		if _, err := c.Write(answer); err != nil {
			return err
		}
		if req.Close {
			return nil
		}
	}
}
