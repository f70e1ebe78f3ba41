// Package cgi runs CGI programs: a process for each request, which gets the request as its
// environment and standard input and gives the answer on standard output.
//
// What it promises:
//
//   - A program sees nothing of the server: its environment is what the [Request] says, and it
//     inherits no descriptors but its three standard streams.
//   - The bodies of request and response flow as they come. What the client does not take, the
//     program cannot write; memory is bounded.
//   - A program is the leader of a process group. When it has to be stopped (it is too slow, it
//     writes too much or nonsense, the client left), the group gets SIGTERM, and what is left of
//     it SIGKILL as soon as the program has ended, or after a grace. The signals are sent while
//     the program was not waited for, so they can never reach a stranger's process.
//   - Every program is waited for, and every goroutine and descriptor goes with it. A child that
//     keeps a standard stream open does not change that: the end of the program is the end of its
//     answer.
//   - A response body ends with io.EOF only when the program has ended its output in good order: one
//     that a signal ended is an error, and so is one shorter than its Content-Length. The exit
//     status does not count, as scripts are careless with it.
//
// A child in the background that a program leaves behind when it ends by itself lives on; it
// should not use the program's streams, which are closed then.
//
// Left out: programs whose names begin with "nph-", which speak HTTP themselves, are treated as
// all others, so their status line is a bad head. A query string without "=" does not become
// arguments (RFC 3875 section 4.4 allows both): that is how queries became options of php-cgi.
//
// The source is CGI/1.1, RFC 3875; response heads are read by package fcgi. Processes are
// waited for the way Linux has it.
package cgi
