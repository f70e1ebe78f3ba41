package reference

import "luaserve/runtime"

var luaTypes = map[runtime.ParamType]string{
	runtime.TString: "string", runtime.TPattern: "string", runtime.TAddress: "string", runtime.TNumber: "number", runtime.TBool: "boolean",
	runtime.TAction: "lighty.Actions", runtime.TActions: "lighty.Actions", runtime.TCondition: "lighty.Condition|lighty.Variable",
	runtime.TStrings: "string|string[]", runtime.TPairs: "table", runtime.TAny: "any", runtime.TExact: "any",
}

func annotationTypes(s string) string { return s }
