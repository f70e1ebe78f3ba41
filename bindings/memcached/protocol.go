package memcached

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxKey is the longest key that memcached takes, in bytes.
const maxKey = 250

// Key returns the key itself if memcached takes it: 1 to 250 bytes from 0x21 to 0x7e. Any
// other is replaced by its SHA-1 in hexadecimal digits, as lighttpd2 does.
func Key(key string) string {
	ok := key != "" && len(key) <= maxKey
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] > 0x20 && key[i] < 0x7f
	}
	if ok {
		return key
	}
	sum := sha1.Sum([]byte(key))
	return hex.EncodeToString(sum[:])
}

// longestTTL is the longest time that memcached does not take for a date, in seconds.
const longestTTL = 30 * 24 * 60 * 60

// expiry is the time of expiry in the words of the protocol: seconds from now, or a date.
func expiry(ttl int64, now time.Time) int64 {
	if ttl <= longestTTL {
		return ttl
	}
	return min(now.Unix()+min(ttl, math.MaxInt32), math.MaxInt32)
}

func appendSet(to []byte, key string, flags uint32, expiry int64, length int) []byte {
	return fmt.Appendf(to, "set %s %d %d %d\r\n", key, flags, expiry, length)
}

// RefusedError is an error line of the server: it understood nothing, or cannot do it.
type RefusedError string

// Error quotes the line.
func (e RefusedError) Error() string { return fmt.Sprintf("the server answered %q", string(e)) }

// TooLargeError is the error of a value that is longer than the caller takes.
type TooLargeError struct {
	Size, Max int64 // bytes
}

// Error says how long it is.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the value has %d bytes, more than %d", e.Size, e.Max)
}

// readLine returns a line without its end. It is valid until the next read.
func readLine(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errors.New("the answer has a line without an end")
	}
	if err != nil {
		return nil, err
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, fmt.Errorf("the line %q ends without CR", line)
	}
	return text, nil
}

// unexpected is the error of a line that is no answer to the command.
func unexpected(line []byte) error {
	for _, prefix := range []string{"ERROR", "CLIENT_ERROR", "SERVER_ERROR"} {
		if rest, ok := strings.CutPrefix(string(line), prefix); ok && (rest == "" || rest[0] == ' ') {
			return RefusedError(line)
		}
	}
	return fmt.Errorf("unexpected line %.100q", line)
}

// readItem reads the answer to gets for one key: VALUE key flags bytes cas, the value, END;
// or END alone.
func readItem(br *bufio.Reader, key string, max int64) (*Item, error) {
	line, err := readLine(br)
	if err != nil {
		return nil, err
	}
	if string(line) == "END" {
		return nil, ErrNotFound
	}
	item := &Item{}
	size, err := item.parseHead(string(line), key)
	if err != nil {
		return nil, err
	}
	if size > max {
		return nil, &TooLargeError{size, max}
	}
	if item.Value, err = readValue(br, size); err != nil {
		return nil, err
	}
	if line, err = readLine(br); err != nil {
		return nil, err
	}
	if string(line) != "END" {
		return nil, unexpected(line)
	}
	return item, nil
}

// parseHead reads the line before a value and returns the length of the value.
func (item *Item) parseHead(line, key string) (size int64, err error) {
	fields := strings.Split(line, " ")
	if fields[0] != "VALUE" || len(fields) < 4 || len(fields) > 5 {
		return 0, unexpected([]byte(line))
	}
	if fields[1] != key {
		return 0, fmt.Errorf("the answer is for the key %.100q, not %q", fields[1], key)
	}
	flags, err1 := strconv.ParseUint(fields[2], 10, 32)
	length, err2 := strconv.ParseUint(fields[3], 10, 63)
	var err3 error
	if len(fields) == 5 {
		item.CAS, err3 = strconv.ParseUint(fields[4], 10, 64)
	}
	if errors.Join(err1, err2, err3) != nil {
		return 0, unexpected([]byte(line))
	}
	item.Flags = uint32(flags)
	return int64(length), nil
}

// atOnce is how much memory is taken for a value before any of it came, in bytes.
const atOnce = 64 << 10

func readValue(br *bufio.Reader, size int64) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(size, atOnce)) + bytes.MinRead)
	if _, err := io.CopyN(&buf, br, size); err != nil {
		return nil, err
	}
	line, err := readLine(br)
	if err != nil {
		return nil, err
	}
	if len(line) > 0 {
		return nil, errors.New("the value is longer than its length")
	}
	return buf.Bytes(), nil
}

// readStored reads the answer to set.
func readStored(br *bufio.Reader) error {
	line, err := readLine(br)
	if err != nil {
		return err
	}
	switch string(line) {
	case "STORED":
		return nil
	case "NOT_STORED":
		return ErrNotStored
	case "EXISTS":
		return ErrExists
	case "NOT_FOUND":
		return ErrNotFound
	}
	return unexpected(line)
}
