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

// confinePhysical keeps what a script says of the file within its directory. What another one
// has said before stays within that one's, unless all of it is replaced by the path.
func confinePhysical(c *runtime.Call, p *runtime.Physical, name, text string) {
	files := c.Files()
	switch {
	case files.Confined() && name != "pathinfo":
		if err := (rootsWithin{files}).checkRoot(text); err != nil {
			c.Errorf("physical.%s: %s", name, err)
		}
		p.Confine(files.Root)
	case name == "path":
		p.Confine("")
	}
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
			confinePhysical(c, self.(*runtime.Physical), name, text)
			*field(self.(*runtime.Physical)) = text
		}}
}
