package reference_test

import (
	"fmt"

	"luaserve/bindings"
	"luaserve/reference"
	"luaserve/runtime"
)

// The modules of a host program are described as luaserve's own are.
func ExampleNew() {
	price := &runtime.Module{Name: "price", Doc: "Tells prices.", Actions: []runtime.ActionDef{{
		Name: "price.show", Doc: "Answers with the price of an article.",
		Params: []runtime.Param{{Name: "article", Type: runtime.TPattern}},
	}}}

	ref := reference.New(append(bindings.Modules(), price))
	for _, entry := range ref.Find("price.show") {
		fmt.Println(entry.Title())
		fmt.Println(entry.Doc)
	}
	// Output:
	// action price.show(article)
	// Answers with the price of an article.
}
