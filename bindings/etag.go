package bindings

import (
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"luaserve/runtime"
)

// etagParts says what of a file goes into its ETag: the value of the option etag.use.
type etagParts uint8

const (
	etagInode etagParts = 1 << iota
	etagMtime
	etagSize

	etagAll = etagInode | etagMtime | etagSize
)

// parseEtagUse reads the value of etag.use; the empty list switches ETags off.
func parseEtagUse(_ *runtime.Builder, v runtime.Value) (any, error) {
	var parts etagParts
	names, ok := v.Strings()
	if !ok || v.Kind() != runtime.KindList {
		return nil, fmt.Errorf("expected a list of strings, got %s", v.Kind())
	}
	for _, name := range names {
		switch name {
		case "inode":
			parts |= etagInode
		case "mtime":
			parts |= etagMtime
		case "size":
			parts |= etagSize
		default:
			return nil, fmt.Errorf("unknown property %q; expected inode, mtime or size", name)
		}
	}
	return parts, nil
}

// validators are what a client can ask about its copy of a file (RFC 9110, 8.8).
type validators struct {
	etag         string // with its quotes; "" when ETags are off
	lastModified string
	modified     int64 // the same in Unix seconds, as precise as the field is
}

func validatorsOf(info fs.FileInfo, parts etagParts) validators {
	mtime := info.ModTime()
	var date [len(http.TimeFormat)]byte
	return validators{
		etag:         etagOf(info, parts),
		lastModified: string(mtime.UTC().AppendFormat(date[:0], http.TimeFormat)),
		modified:     mtime.Unix(),
	}
}

// etagOf makes the ETag of a file, a strong one: the time of the last change counts to
// the nanosecond. It is a hash (64-bit FNV-1a), so that it does not tell inode numbers.
func etagOf(info fs.FileInfo, parts etagParts) string {
	if parts == 0 {
		return ""
	}
	sum := uint64(0xcbf29ce484222325)
	mix := func(v uint64) {
		for range 8 {
			sum = (sum ^ v&0xff) * 0x100000001b3
			v >>= 8
		}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && parts&etagInode != 0 {
		mix(st.Ino)
	}
	if parts&etagSize != 0 {
		mix(uint64(info.Size()))
	}
	if parts&etagMtime != 0 {
		mix(uint64(info.ModTime().UnixNano()))
	}
	var buf [20]byte
	return string(append(strconv.AppendUint(append(buf[:0], '"'), sum, 16), '"'))
}

// set puts the validators into a response; an ETag of somebody else never stays.
func (v *validators) set(h *runtime.Header) {
	if v.etag == "" {
		h.Remove("ETag")
	} else {
		h.Set("ETag", v.etag)
	}
	h.Set("Last-Modified", v.lastModified)
}

// notModified reports whether the client's copy is still good, so that a 304 is the
// answer. If-None-Match outranks If-Modified-Since (RFC 9110, 13.2.2); with ETags off it
// is not looked at, as in lighttpd2.
func (v *validators) notModified(request *runtime.Header) bool {
	if v.etag != "" {
		if list, ok := request.Lookup("If-None-Match"); ok {
			return etagListed(list, v.etag)
		}
	}
	since, ok := request.Lookup("If-Modified-Since")
	if !ok {
		return false
	}
	if since == v.lastModified {
		return true
	}
	since, _, _ = strings.Cut(since, ";") // old browsers add "; length=…"
	t, ok := parseDate(since)
	return ok && v.modified <= t
}

// mayRange reports whether If-Range lets a Range count: the client has the rest of
// exactly this file (RFC 9110, 13.1.5).
func (v *validators) mayRange(request *runtime.Header) bool {
	cond, ok := request.Lookup("If-Range")
	if !ok || cond == v.lastModified {
		return true
	}
	if strings.HasPrefix(cond, `"`) || strings.HasPrefix(cond, "W/") {
		return cond == v.etag // a weak one never is: ours are strong
	}
	t, ok := parseDate(cond)
	return ok && t == v.modified
}

func parseDate(s string) (unix int64, ok bool) {
	t, err := http.ParseTime(strings.TrimSpace(s))
	if err != nil {
		return 0, false
	}
	return t.In(time.UTC).Unix(), true
}

// etagListed reports whether a list of entity tags names etag, or is "*". Weak tags count
// (RFC 9110, 8.8.3.2). What is no list of tags matches nothing from there on.
func etagListed(list, etag string) bool {
	for {
		list = strings.TrimLeft(list, " \t,")
		if list == "*" {
			return true
		}
		list = strings.TrimPrefix(list, "W/")
		if !strings.HasPrefix(list, `"`) {
			return false
		}
		end := strings.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if list[:end+2] == etag {
			return true
		}
		list = list[end+2:]
	}
}
