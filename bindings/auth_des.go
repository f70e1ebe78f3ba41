package bindings

import "strings"

// desCrypt is the traditional crypt(3): the first eight characters of the password, seven
// bits of each, are the key with which DES (FIPS 46-3) encrypts a block of zeros 25 times.
// Each bit of the salt, two characters, swaps two bits of the expansion E. The result
// begins with the salt. Weak; there are still files with it.
func desCrypt(password, salt string) string {
	keys := desKeys(password)
	expand := desE
	for i := range 12 {
		digit := strings.IndexByte(cryptAlphabet, salt[i/6])
		if digit>>(i%6)&1 != 0 {
			expand[i], expand[i+24] = expand[i+24], expand[i]
		}
	}
	var block [64]byte // one bit in each byte; the initial permutation of zeros changes nothing
	left, right := block[:32], block[32:]
	for range 25 {
		for round := range 16 {
			f := desRound(right, &expand, &keys[round])
			for i := range 32 {
				left[i], right[i] = right[i], left[i]^f[i]
			}
		}
		// the last round of DES does not swap; the final permutation of one encryption and
		// the initial one of the next take each other back
		for i := range 32 {
			left[i], right[i] = right[i], left[i]
		}
	}
	out := []byte(salt[:2])
	for i := 0; i < 66; i += 6 {
		digit := 0
		for j := i; j < i+6; j++ {
			digit <<= 1
			if j < 64 {
				digit |= int(block[desFinal(j)])
			}
		}
		out = append(out, cryptAlphabet[digit])
	}
	return string(out)
}

// desFinal returns the bit that the final permutation puts at i: byte n of the result holds
// bit 7-n of every byte, those of the second and of the first half in turn.
func desFinal(i int) int {
	row, column := i/8, i%8
	bit := column/2*8 + 7 - row
	if column%2 == 0 {
		bit += 32
	}
	return bit
}

// desRound is the function f: expansion, key, S-boxes, permutation P.
func desRound(right []byte, expand *[48]uint8, key *[48]byte) (out [32]byte) {
	var mixed [32]byte
	for box := range 8 {
		var in [6]byte
		for i := range in {
			in[i] = right[expand[box*6+i]-1] ^ key[box*6+i]
		}
		row := in[0]<<1 | in[5]
		column := in[1]<<3 | in[2]<<2 | in[3]<<1 | in[4]
		v := desS[box][row*16+column]
		for i := range 4 {
			mixed[box*4+i] = v >> (3 - i) & 1
		}
	}
	for i, from := range desP {
		out[i] = mixed[from-1]
	}
	return out
}

// desKeys makes the sixteen round keys of a password.
func desKeys(password string) (keys [16][48]byte) {
	var bits [64]byte
	for i := range min(len(password), 8) {
		for j := range 7 {
			bits[i*8+j] = password[i] >> (6 - j) & 1
		}
	}
	var halves [2][28]byte
	for i, from := range desPC1 {
		halves[i/28][i%28] = bits[from-1]
	}
	shift := 0
	for round := range keys {
		shift += desShifts[round]
		for i, from := range desPC2 {
			half := (from - 1) / 28
			keys[round][i] = halves[half][(int(from-1)%28+shift)%28]
		}
	}
	return keys
}

// The tables of FIPS 46-3; bits are counted from 1.
var (
	desShifts = [16]int{1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1}
	desPC1    = [56]uint8{
		57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18,
		10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
		63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22,
		14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
	}
	desPC2 = [48]uint8{
		14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10,
		23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
		41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48,
		44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
	}
	desE = [48]uint8{
		32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9,
		8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17,
		16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25,
		24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1,
	}
	desP = [32]uint8{
		16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
		2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
	}
	desS = [8][64]uint8{
		{14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7,
			0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
			4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0,
			15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13},
		{15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10,
			3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
			0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15,
			13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9},
		{10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8,
			13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
			13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7,
			1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12},
		{7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15,
			13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
			10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4,
			3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14},
		{2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9,
			14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
			4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14,
			11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3},
		{12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11,
			10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
			9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6,
			4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13},
		{4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1,
			13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
			1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2,
			6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12},
		{13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7,
			1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
			7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8,
			2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11},
	}
)
