package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStatCache(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	cache := &statCache{ttl: time.Hour, entries: map[string]statEntry{}}
	if cache.stat(name).Exists {
		t.Fatal("there is no file yet")
	}
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cache.stat(name).Exists {
		t.Error("the answer was not remembered")
	}
	entry := cache.entries[name]
	entry.until = time.Now().Add(-time.Second)
	cache.entries[name] = entry
	if st := cache.stat(name); !st.IsFile || st.Size != 1 {
		t.Errorf("an old answer was given again: %+v", st)
	}
	var none *statCache
	if !none.stat(name).Exists {
		t.Error("without a cache the file is looked at")
	}
}

func TestStatCacheIsBounded(t *testing.T) {
	cache := &statCache{ttl: time.Hour, entries: map[string]statEntry{}}
	dir := t.TempDir()
	for i := range maxStatEntries + 10 {
		cache.stat(fmt.Sprintf("%s/%d", dir, i))
	}
	if n := len(cache.entries); n == 0 || n > maxStatEntries {
		t.Errorf("%d entries", n)
	}
}
