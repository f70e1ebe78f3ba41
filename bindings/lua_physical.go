package bindings

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// physicalObject is vr.phys.
var physicalObject = &runtime.Object{
	Name: "physical",
	Doc:  "The file that the URL is mapped to.",
	Fields: []runtime.Attribute{
		physicalField("path", "Path of the file.", func(p *runtime.Physical) *string { return &p.Path }),
		physicalField("doc_root", "Document root.", func(p *runtime.Physical) *string { return &p.DocRoot }),
		physicalField("pathinfo", "What the URL has behind the file.", func(p *runtime.Physical) *string { return &p.PathInfo }),
	},
}

func physicalField(name, doc string, field func(*runtime.Physical) *string) runtime.Attribute {
	return runtime.Attribute{Name: name, Type: "string", Doc: doc, Leaf: true,
		Get: func(c *runtime.Call, self any) lua.LValue { return c.Text(*field(self.(*runtime.Physical))) },
		Set: func(c *runtime.Call, self any, value lua.LValue) {
			c.Guard("vr.phys")
			text := fieldText(c, value)
			if strings.IndexByte(text, 0) >= 0 {
				c.Errorf("physical.%s must not have a NUL in it: %q", name, text)
			}
			*field(self.(*runtime.Physical)) = text
		}}
}
