package balancer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// list makes backends of names, with weights where they are given as "a*3".
func list(names ...string) (backends []Backend) {
	for _, name := range names {
		b := Backend{Name: name[:1], Weight: 1}
		if len(name) > 2 {
			b.Weight = int(name[2] - '0')
		}
		backends = append(backends, b)
	}
	return backends
}

func TestRoundRobin(t *testing.T) {
	for _, tt := range []struct {
		backends []Backend
		out      string // cannot be used
		want     string
	}{
		{list("a"), "", "aaaaaaaa"},
		{list("a", "b", "c"), "", "abcabcab"},
		{list("a*3", "b", "c"), "", "abacaaba"},
		{list("a*2", "b*4"), "", "babbabba"},
		{list("a*7", "b*7"), "", "abababab"},
		{list("a", "b", "c"), "b", "acacacac"},
		{list("a*3", "b", "c"), "a", "bcbcbcbc"},
	} {
		p := New(Config{Backends: tt.backends, Fails: 1})
		for i := range p.backends {
			p.backends[i].down = tt.out == p.Name(i)
		}
		got := ""
		for range tt.want {
			got += p.Name(enter(t, p, "").at)
		}
		if got != tt.want {
			t.Errorf("%v without %q: got %s, want %s", tt.backends, tt.out, got, tt.want)
		}
	}
}

func TestShortestQueue(t *testing.T) {
	p := New(Config{Backends: list("a", "b*2"), Policy: ShortestQueue, Fails: 1})
	got, turns := "", []*Turn{}
	for range 7 {
		turns = append(turns, enter(t, p, ""))
		got += p.Name(turns[len(turns)-1].at)
	}
	if got != "abbabba" {
		t.Errorf("got %s", got)
	}
	for _, turn := range turns {
		turn.Worked()
		turn.Leave()
	}
	if turn := enter(t, p, ""); turn.at != 0 {
		t.Error("all are idle, and the first one is not taken")
	}
}

func TestLeastTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b", "c"), Policy: LeastTime, Fails: 1})
		latency := map[string]time.Duration{"a": 30 * time.Millisecond, "b": 10 * time.Millisecond, "c": 100 * time.Millisecond}
		ask := func() string {
			turn := enter(t, p, "")
			name := p.Name(turn.at)
			time.Sleep(latency[name])
			turn.Worked()
			turn.Leave()
			return name
		}
		together := func(n int) (got string) {
			var turns []*Turn
			for range n {
				turns = append(turns, enter(t, p, ""))
				got += p.Name(turns[len(turns)-1].at)
			}
			for _, turn := range turns {
				turn.Leave()
			}
			return got
		}
		if got := together(4); got != "abca" {
			t.Errorf("nothing is known: %s", got)
		}
		for range 3 {
			ask()
		}
		for range 5 {
			if got := ask(); got != "b" {
				t.Errorf("the fastest is not %s", got)
			}
		}
		// the costs of the n-th request: a 30 60 90, b 10 20 30, c 100
		if got := together(6); got != "bbabbb" {
			t.Errorf("with requests in progress: %s", got)
		}
		latency["c"] = time.Millisecond
		used := map[string]bool{}
		for range 1000 {
			used[ask()] = true
			time.Sleep(50 * time.Millisecond)
		}
		if !used["c"] || ask() != "c" {
			t.Error("that c has become fast is not noticed")
		}
	})
}

// One that has not answered yet is not flooded.
func TestLeastTimeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b"), Policy: LeastTime, Fails: 1})
		first := enter(t, p, "")
		time.Sleep(10 * time.Millisecond)
		first.Worked()
		got := ""
		for range 6 {
			got += p.Name(enter(t, p, "").at)
		}
		if got != "bababa" {
			t.Errorf("got %s", got)
		}
	})
}

// owners returns which backend each of n keys belongs to.
func owners(t *testing.T, backends []Backend, n int) []string {
	p := New(Config{Backends: backends, Policy: Hash, Fails: 1})
	out := make([]string, n)
	for i := range out {
		turn := enter(t, p, fmt.Sprintf("/path/%d", i))
		out[i] = p.Name(turn.at)
		turn.Leave()
	}
	return out
}

// A change of the list moves the keys that it must move and no other one, whatever the list.
func TestHashDisruption(t *testing.T) {
	const keys = 2000
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var backends []Backend
		for i := range 2 + random.IntN(8) {
			backends = append(backends, Backend{fmt.Sprintf("10.0.%d.%d:80", random.IntN(256), i), 1 + random.IntN(5)})
		}
		before := owners(t, backends, keys)
		gone := random.IntN(len(backends))
		shorter := slices.Delete(slices.Clone(backends), gone, gone+1)
		random.Shuffle(len(shorter), func(i, j int) { shorter[i], shorter[j] = shorter[j], shorter[i] })
		without := owners(t, shorter, keys)
		heirs := map[string]bool{}
		for i := range before {
			switch name := backends[gone].Name; {
			case without[i] == name:
				t.Fatalf("%s is gone and has a key", name)
			case before[i] == name:
				heirs[without[i]] = true
			case before[i] != without[i]:
				t.Fatalf("a key moved from %s to %s when %s went", before[i], without[i], name)
			}
		}
		if len(heirs) < len(shorter) {
			t.Errorf("the keys of one of %v went to %v only", backends, heirs)
		}
	}
}

// While its backend is out, a key has another one that is always the same.
func TestHashFailover(t *testing.T) {
	all, keys := list("a", "b", "c", "d"), 500
	p := New(Config{Backends: all, Policy: Hash, Fails: 1})
	p.SetDown(1, true)
	shorter := owners(t, list("a", "c", "d"), keys)
	for i, want := range shorter {
		turn := enter(t, p, fmt.Sprintf("/path/%d", i))
		if got := p.Name(turn.at); got != want {
			t.Fatalf("key %d: %s, want %s", i, got, want)
		}
		turn.Leave()
	}
	p.SetDown(1, false)
	for i, want := range owners(t, all, keys) {
		turn := enter(t, p, fmt.Sprintf("/path/%d", i))
		if got := p.Name(turn.at); got != want {
			t.Fatalf("key %d did not come home: %s, want %s", i, got, want)
		}
	}
}

func TestHashShares(t *testing.T) {
	const keys = 20_000
	for _, backends := range [][]Backend{list("a", "b"), list("a", "b", "c", "d", "e"), list("a", "b*2", "c*5"), list("a", "a", "a")} {
		count, total := map[string]int{}, 0
		for _, name := range owners(t, backends, keys) {
			count[name]++
		}
		for _, b := range backends {
			total += b.Weight
		}
		p := New(Config{Backends: backends})
		for i, b := range backends {
			want := float64(keys) * float64(b.Weight) / float64(total)
			if got := float64(count[p.Name(i)]); math.Abs(got-want) > want/10 {
				t.Errorf("%v: %s has %v keys, want %.0f", backends, p.Name(i), got, want)
			}
		}
	}
}
