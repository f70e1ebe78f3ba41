package runtime

import (
	"sync"
	"time"
)

// statCache remembers what files are like for as long as the script allows. Nothing is
// ever sent by what it says: [Physical.Open] asks the file itself.
type statCache struct {
	ttl time.Duration

	mu      sync.RWMutex
	entries map[string]statEntry
}

type statEntry struct {
	stat  FileStat
	until time.Time
}

// maxStatEntries bounds the memory that a flood of different paths can take.
const maxStatEntries = 8192

// SetStatTTL sets how long what a file is like is remembered; 0 is not at all (lighttpd2,
// stat_cache.ttl).
func (b *Builder) SetStatTTL(ttl time.Duration) {
	b.prog.stats = nil
	if ttl > 0 {
		b.prog.stats = &statCache{ttl: ttl, entries: map[string]statEntry{}}
	}
}

// stat looks at a file, or remembers. A nil cache remembers nothing. It is safe for
// concurrent use.
func (c *statCache) stat(name string) FileStat {
	if c == nil {
		return Stat(name)
	}
	now := time.Now()
	c.mu.RLock()
	entry, ok := c.entries[name]
	c.mu.RUnlock()
	if ok && now.Before(entry.until) {
		return entry.stat
	}
	st := Stat(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxStatEntries {
		clear(c.entries)
	}
	c.entries[name] = statEntry{st, now.Add(c.ttl)}
	return st
}
