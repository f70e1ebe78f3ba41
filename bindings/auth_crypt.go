package bindings

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"strconv"
	"strings"

	xcrypt "github.com/go-crypt/x/crypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/bcrypt"
)

// The password hashes of htpasswd files, told apart by how they begin.
//
//	$2y$ $2a$ $2b$   bcrypt         golang.org/x/crypto/bcrypt
//	$5$ $6$          SHA-crypt      github.com/go-crypt/x/crypt
//	$y$              yescrypt       github.com/go-crypt/x/yescrypt
//	$apr1$ $1$       MD5-crypt      here: Apache's variant differs in a constant that no maintained library lets one set
//	13 characters    DES-crypt      here: no maintained library has it, crypto/des has no salt
//	{SHA}            SHA-1          crypto/sha1
//
// github.com/go-crypt/x is the low level half of github.com/go-crypt/crypt: releases all along (v0.4.17 of
// September 2026), no package beside the standard library behind what is used here. The upper half was left out: it
// reads other formats than htpasswd's and pulls in all of them. Not used either: github.com/GehirnInc/crypt (asleep
// since 2023) and github.com/tg123/go-htpasswd, which is built on it and panics at "$6$rounds=x$".

// passwordCheck reports whether a password is the one that was hashed.
type passwordCheck func(password string) bool

// maxPassword is how long a password may be in bytes, libxcrypt's limit: the work for some
// hashes grows with the square of the length.
const maxPassword = 511

var errUnknownHash = errors.New("the password hash is of no known kind")

// parsePasswordHash finds out how to check passwords against an entry of a htpasswd file.
// slow tells that each check costs milliseconds.
func parsePasswordHash(text string) (check passwordCheck, slow bool, err error) {
	switch {
	case strings.HasPrefix(text, "{SHA}"):
		check, err = parseSHA1(text)
		return check, false, err
	case strings.HasPrefix(text, "$2y$"), strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"):
		check, err = parseBcrypt(text)
	case strings.HasPrefix(text, "$apr1$"):
		check, err = parseMD5Crypt(text, "$apr1$")
	case strings.HasPrefix(text, "$1$"):
		check, err = parseMD5Crypt(text, "$1$")
	case strings.HasPrefix(text, "$5$"):
		check, err = parseSHACrypt(text, sha256.New)
	case strings.HasPrefix(text, "$6$"):
		check, err = parseSHACrypt(text, sha512.New)
	case strings.HasPrefix(text, "$y$"):
		check = func(password string) bool {
			got, err := yescrypt.Hash([]byte(password), []byte(text))
			return err == nil && sameText(string(got), text)
		}
	case len(text) == 13 && strings.Trim(text, cryptAlphabet) == "":
		check = func(password string) bool { return sameText(desCrypt(password, text[:2]), text) }
	default:
		err = errUnknownHash
	}
	if err != nil {
		return nil, false, err
	}
	return guarded(check), true, nil
}

// guarded refuses what crypt(3) could not take: very long passwords, and such with a NUL.
func guarded(check passwordCheck) passwordCheck {
	return func(password string) bool {
		return len(password) <= maxPassword && strings.IndexByte(password, 0) < 0 && check(password)
	}
}

// sameText compares in a time that does not depend on where the texts differ.
func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func parseSHA1(text string) (passwordCheck, error) {
	want, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "{SHA}"))
	if err != nil || len(want) != sha1.Size {
		return nil, errors.New("{SHA} must be followed by the base64 form of 20 bytes")
	}
	return func(password string) bool {
		got := sha1.Sum([]byte(password))
		return subtle.ConstantTimeCompare(got[:], want) == 1
	}, nil
}

func parseBcrypt(text string) (passwordCheck, error) {
	if _, err := bcrypt.Cost([]byte(text)); err != nil || len(text) != 60 {
		return nil, errors.New("the bcrypt hash is damaged")
	}
	return func(password string) bool {
		return bcrypt.CompareHashAndPassword([]byte(text), []byte(password)) == nil
	}, nil
}

// parseSHACrypt reads $5$salt$hash or $5$rounds=5000$salt$hash.
func parseSHACrypt(text string, newHash func() hash.Hash) (passwordCheck, error) {
	rest, rounds := text[len("$5$"):], 5000
	if number, ok := strings.CutPrefix(rest, "rounds="); ok {
		number, rest, _ = strings.Cut(number, "$")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1000 || n > 999_999_999 {
			return nil, errors.New("the number of rounds must be between 1000 and 999999999")
		}
		rounds = n
	}
	salt, want, ok := strings.Cut(rest, "$")
	if !ok || len(salt) > 16 || len(want) != (newHash().Size()*8+5)/6 {
		return nil, errors.New("the SHA-crypt hash is damaged")
	}
	return func(password string) bool {
		return sameText(string(xcrypt.KeySHACrypt(newHash, []byte(password), []byte(salt), rounds)), want)
	}, nil
}

func parseMD5Crypt(text, magic string) (passwordCheck, error) {
	salt, want, ok := strings.Cut(text[len(magic):], "$")
	if !ok || len(salt) > 8 || len(want) != 22 {
		return nil, errors.New("the MD5-crypt hash is damaged")
	}
	return func(password string) bool { return sameText(md5Crypt(password, salt, magic), want) }, nil
}

// cryptAlphabet are the digits of crypt(3)'s base 64.
const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// md5Crypt is Poul-Henning Kamp's MD5-crypt; Apache uses it with another magic word.
func md5Crypt(password, salt, magic string) string {
	inner := md5.Sum([]byte(password + salt + password))
	start := []byte(password + magic + salt)
	for n := len(password); n > 0; n -= md5.Size {
		start = append(start, inner[:min(n, md5.Size)]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			start = append(start, 0)
		} else {
			start = append(start, password[0])
		}
	}
	sum := md5.Sum(start)
	var buf []byte
	for i := range 1000 {
		first, last := string(sum[:]), password
		if i&1 != 0 {
			first, last = last, first
		}
		buf = append(buf[:0], first...)
		if i%3 != 0 {
			buf = append(buf, salt...)
		}
		if i%7 != 0 {
			buf = append(buf, password...)
		}
		sum = md5.Sum(append(buf, last...))
	}
	var out []byte
	for i := range 5 {
		third := 12 + i
		if i == 4 {
			third = 5
		}
		out = appendCrypt64(out, uint32(sum[i])<<16|uint32(sum[6+i])<<8|uint32(sum[third]), 4)
	}
	return string(appendCrypt64(out, uint32(sum[11]), 2))
}

// appendCrypt64 writes a number in n digits, the lowest first.
func appendCrypt64(out []byte, v uint32, n int) []byte {
	for range n {
		out = append(out, cryptAlphabet[v&63])
		v >>= 6
	}
	return out
}
