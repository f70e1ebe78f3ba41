package runtime

import "strings"

// Nearest returns the candidate that is most like name, the first of several, or "" when none
// is close: at most a third of the letters of name may differ (Levenshtein, swaps counted as
// one), and of names with two letters they may only be swapped. Upper and lower case are the
// same here.
func Nearest(name string, candidates []string) string {
	name = strings.ToLower(name)
	best, limit := "", len(name)/3+1 // less than that
	for _, c := range candidates {
		lower := strings.ToLower(c)
		if len(name) == 2 && len(lower) == 2 && name[0] == lower[1] && name[1] == lower[0] && best == "" {
			best = c
		}
		if d := editDistance(name, lower, limit); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// editDistance is the optimal string alignment distance; limit and above count as limit.
func editDistance(a, b string, limit int) int {
	if diff := len(a) - len(b); diff >= limit || -diff >= limit {
		return limit
	}
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit)
}
