// The editor: Lua with the names of the server, problems where they are, and a mark at the
// lines that the request has met.

import { EditorState, StateEffect, StateField, RangeSet, RangeSetBuilder } from "@codemirror/state";
import { EditorView, Decoration, GutterMarker, gutter, hoverTooltip, keymap, lineNumbers, highlightActiveLine,
  highlightActiveLineGutter, highlightSpecialChars, drawSelection, dropCursor } from "@codemirror/view";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { StreamLanguage, HighlightStyle, syntaxHighlighting, bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { lua } from "@codemirror/legacy-modes/mode/lua";
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, acceptCompletion } from "@codemirror/autocomplete";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { search, searchKeymap, highlightSelectionMatches } from "@codemirror/search";
import { tags } from "@lezer/highlight";
import { describe } from "./names.js";

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: tags.number, color: "var(--code-number)" },
  { tag: tags.atom, color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.standard(tags.variableName), color: "var(--code-name)" },
]);

const theme = EditorView.theme({
  "&": { height: "100%", backgroundColor: "var(--surface)", color: "var(--text)", fontSize: "13.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { padding: "8px 0", caretColor: "var(--text)" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--select)" },
  ".cm-activeLine": { backgroundColor: "var(--hover)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--muted)", border: "none" },
  ".cm-activeLineGutter": { backgroundColor: "var(--hover)", color: "var(--text)" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 8px 0 4px", minWidth: "30px" },
  ".cm-met-gutter": { width: "3px" },
  ".cm-met-gutter .cm-gutterElement": { padding: "0" },
  ".cm-met": { height: "100%", backgroundColor: "var(--lit)" },
  ".cm-marked": { backgroundColor: "var(--lit-soft) !important" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--select)", outline: "none" },
  ".cm-selectionMatch": { backgroundColor: "var(--select)" },
  ".cm-searchMatch": { backgroundColor: "var(--warn-soft)" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "8px", boxShadow: "var(--shadow)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em", borderRadius: "8px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px 3px 6px", lineHeight: "1.5" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--select)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal", fontFamily: "var(--sans)", fontSize: "12px", marginLeft: "12px" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-tooltip.cm-completionInfo": { padding: "0", maxWidth: "min(420px, 90vw)", overflow: "auto", maxHeight: "50vh" },
  ".cm-diagnostic": { padding: "6px 10px", fontFamily: "var(--sans)", borderLeftWidth: "4px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--warn)", textUnderlineOffset: "3px" },
  ".cm-lintRange-info": { backgroundImage: "none", textDecoration: "underline dotted var(--muted)", textUnderlineOffset: "3px" },
  ".cm-gutter-lint": { width: "16px" },
  ".cm-gutter-lint .cm-gutterElement": { padding: "0 2px" },
  ".cm-lint-marker": { width: "12px", height: "12px", content: "none", borderRadius: "50%", margin: "5px 0 0" },
  ".cm-lint-marker-error": { backgroundColor: "var(--bad)" },
  ".cm-lint-marker-warning": { backgroundColor: "var(--warn)" },
  ".cm-lint-marker-info": { backgroundColor: "var(--muted)" },
  ".cm-panels": { backgroundColor: "var(--bg)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panel.cm-search": { padding: "8px", fontFamily: "var(--sans)" },
  ".cm-textfield": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--edge)", borderRadius: "6px", padding: "3px 8px" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--edge)", borderRadius: "6px" },
});

const setMet = StateEffect.define();
const setMarked = StateEffect.define();

class MetMarker extends GutterMarker {
  toDOM() {
    const bar = document.createElement("div");
    bar.className = "cm-met";
    return bar;
  }
}
const metMarker = new MetMarker();

// met are the lines that the request has met.
const met = StateField.define({
  create: () => RangeSet.empty,
  update(set, tr) {
    set = set.map(tr.changes);
    for (const effect of tr.effects) {
      if (!effect.is(setMet)) continue;
      const builder = new RangeSetBuilder();
      for (const line of effect.value) {
        if (line <= tr.state.doc.lines) {
          const { from } = tr.state.doc.line(line);
          builder.add(from, from, metMarker);
        }
      }
      set = builder.finish();
    }
    return set;
  },
  provide: (field) => gutter({ class: "cm-met-gutter", markers: (view) => view.state.field(field) }),
});

// marked is the line of the action that was chosen in the pipeline.
const marked = StateField.define({
  create: () => Decoration.none,
  update(set, tr) {
    set = tr.docChanged ? Decoration.none : set;
    for (const effect of tr.effects) {
      if (effect.is(setMarked)) {
        set = effect.value ? Decoration.set([Decoration.line({ class: "cm-marked" }).range(tr.state.doc.line(effect.value).from)]) : Decoration.none;
      }
    }
    return set;
  },
  provide: (field) => EditorView.decorations.from(field),
});

// language is Lua in which the names of actions are told from other names.
function language(names) {
  return StreamLanguage.define({
    ...lua,
    token(stream, state) {
      const style = lua.token(stream, state);
      return style === "variable" && names.words.has(stream.current().split(".")[0]) ? "builtin" : style;
    },
  });
}

function hover(names) {
  return hoverTooltip((view, pos) => {
    const line = view.state.doc.lineAt(pos);
    const rest = /^\w*/.exec(line.text.slice(pos - line.from))[0].length;
    const text = line.text.slice(0, pos - line.from + rest);
    const found = names.lookup(text);
    if (!found) return null;
    const end = line.from + text.length;
    return { pos: end - /\w*$/.exec(text)[0].length, end, create: () => ({ dom: describe(found) }) };
  });
}

// Editor is the editor of a script. on has what is told: changed(text), moved(line).
export class Editor {
  constructor(parent, text, names, nonce, on) {
    let line = 0;
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        doc: text,
        extensions: [
          EditorView.cspNonce.of(nonce),
          met, lintGutter(), lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), drawSelection(), dropCursor(),
          indentOnInput(), indentUnit.of("  "), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(),
          search({ top: true }), marked, language(names), syntaxHighlighting(colours), theme, hover(names),
          autocompletion({ override: [names.complete], icons: false }),
          EditorView.contentAttributes.of({ "aria-label": "Script", autocapitalize: "off", spellcheck: "false" }),
          keymap.of([{ key: "Tab", run: acceptCompletion }, // otherwise it leaves the editor
            ...closeBracketsKeymap, ...defaultKeymap.filter((binding) => binding.key !== "Mod-Enter"), ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) on.changed(update.state.doc.toString());
            const now = update.state.doc.lineAt(update.state.selection.main.head).number;
            if (now !== line || update.docChanged) on.moved(line = now);
          }),
        ],
      }),
    });
  }

  get text() {
    return this.view.state.doc.toString();
  }

  set text(text) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  // show marks problems; those that have no place in the script are at its first line.
  show(problems, file) {
    const { doc } = this.view.state;
    const diagnostics = problems.map((p) => {
      const here = p.file === file && p.line > 0 && p.line <= doc.lines;
      const line = doc.line(here ? p.line : 1);
      const indent = /^\s*/.exec(line.text)[0].length;
      const [from, to] = here && p.to ? [p.from, p.to] : [indent, line.length];
      return { from: Math.min(line.from + from, line.to), to: Math.min(line.from + to, line.to), severity: p.severity,
        message: here || !p.file ? p.message : `${p.file}:${p.line}: ${p.message}` };
    });
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
  }

  // meet marks the lines that the request has met.
  meet(lines) {
    this.view.dispatch({ effects: setMet.of([...new Set(lines)].sort((a, b) => a - b)) });
  }

  // go moves the cursor to a line and marks it.
  go(number, focus, from = 0) {
    const { doc } = this.view.state;
    const line = doc.line(Math.min(Math.max(number, 1), doc.lines));
    const anchor = Math.min(line.from + (from || /^\s*/.exec(line.text)[0].length), line.to);
    this.view.dispatch({ selection: { anchor }, effects: [setMarked.of(line.number), EditorView.scrollIntoView(anchor, { y: "center" })] });
    if (focus) this.view.focus();
  }
}
