package fcgi

import (
	"bytes"
	"encoding/binary"
)

// maxLength is the longest name or value that FastCGI can carry (FastCGI 3.4).
const maxLength = 1<<31 - 1

// appendLength appends the length of a name or value: one byte up to 127, else four with
// the highest bit set (FastCGI 3.4).
func appendLength(dst []byte, n int) []byte {
	if n <= 127 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// appendParams appends params as a PARAMS stream and the empty record that ends it.
func appendParams(dst []byte, params []Param) []byte {
	start := len(dst)
	dst = openRecord(dst)
	for i := range params {
		p := &params[i]
		if len(p.Name)|len(p.Value) <= 127 {
			dst = append(dst, byte(len(p.Name)), byte(len(p.Value)))
		} else {
			dst = appendLength(dst, len(p.Name))
			dst = appendLength(dst, len(p.Value))
		}
		dst = append(dst, p.Name...)
		dst = append(dst, p.Value...)
	}
	switch n := len(dst) - start - headerLen; {
	case n == 0:
		dst = dst[:start]
	case n <= maxContent:
		dst = closeRecord(dst, start, typeParams)
	default:
		stream := bytes.Clone(dst[start+headerLen:])
		dst = appendStream(dst[:start], stream, typeParams)
	}
	return appendEmpty(dst, typeParams)
}

// appendStream appends data as records of one stream, without its end.
func appendStream(dst, data []byte, typ byte) []byte {
	for len(data) > 0 {
		n := min(len(data), maxContent)
		start := len(dst)
		dst = append(openRecord(dst), data[:n]...)
		dst = closeRecord(dst, start, typ)
		data = data[n:]
	}
	return dst
}
