package bindings

import (
	"fmt"
	"strings"

	"luaserve/runtime"
)

const (
	defaultAccessFormat = `%h %V %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`
	accessFormatOption  = "accesslog.format"
)

func accesslogModule() *runtime.Module {
	return &runtime.Module{
		Name: "accesslog",
		Doc: "Writes a line for each request when its answer was sent, whatever became of it; also for one that failed or whose client went away. " +
			"What is no HTTP request at all never gets that far and is not logged. " +
			"Subrequests are a part of their request and have no line of their own.",
		Options: []runtime.Option{
			{Name: "accesslog", Type: runtime.TString, Default: (*logFile)(nil), Parse: parseAccessLog,
				Doc: `Where the lines go: a file, to which they are appended, or "stderr"; without a value nothing is logged. ` +
					"The file is opened when the script is loaded, and again when it is loaded again, as after a rotation. " +
					"Lines are written together, at most a second late. " +
					"Pipes and syslog are refused: let a service manager take stderr.",
				Example: `setup.accesslog "access.log"`},
			{Name: accessFormatOption, Type: runtime.TString, Default: mustAccessFormat(defaultAccessFormat),
				Parse: func(_ *runtime.Builder, v runtime.Value) (any, error) {
					text, _ := v.Str()
					return parseAccessFormat(text)
				},
				Doc: `What a line looks like: a format as in lighttpd2 and Apache, or "json" for an object with all there is to tell. ` + formatDoc() +
					` What comes from outside cannot break out of its line or its quotes: quotes, backslashes and what is not printable ASCII are escaped (\", \\, \n, \x1B).`,
				Example: `setup.accesslog.format "%h %V %u %t \"%r\" %>s %b %D"`},
		},
	}
}

func formatDoc() string {
	var b strings.Builder
	b.WriteString("The directives are ")
	for i, d := range accessDirectives {
		if i > 0 {
			b.WriteString(", ")
		}
		name := string(d.char)
		if d.key == keyNeeded {
			name = "{name}" + name
		}
		fmt.Fprintf(&b, "%%%s (%s)", name, d.doc)
	}
	b.WriteString(". A < or > behind the % means nothing.")
	return b.String()
}

// parseAccessLog opens the target. All uses of a file in a program share one writer.
func parseAccessLog(b *runtime.Builder, v runtime.Value) (any, error) {
	target, _ := v.Str()
	switch {
	case target == "":
		return nil, fmt.Errorf(`the target is empty; expected a file or "stderr"; accesslog() switches the log off`)
	case strings.HasPrefix(target, "|"), strings.HasPrefix(target, "pipe:"), strings.HasPrefix(target, "syslog:"):
		return nil, fmt.Errorf(`%q: logging to pipes and to syslog is not supported; expected a file or "stderr"`, target)
	}
	logs := b.Shared(accessLogsKey{}, func() any {
		logs := &accessLogs{files: map[string]*logFile{}, target: b.Option("accesslog"), format: b.Option(accessFormatOption), server: b.Option("server.name"), log: b.Log()}
		b.Observe(runtime.Observer{End: logs.write})
		b.OnClose(logs.close)
		return logs
	}).(*accessLogs)
	return logs.open(b, strings.TrimPrefix(target, "file:"))
}
