//! What doc comments in the project's own sources say, for reference pages.

use anyhow::{Context as _, Result};

use crate::commands::tools::workspace_root;

/// A field of a struct.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) doc: String,
}

/// The text of a source file, given from the workspace's root.
pub(super) fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(workspace_root().join(file)).with_context(|| format!("cannot read {file}"))
}

/// The public fields of a struct; none if the source has no such struct.
pub(super) fn fields(source: &str, name: &str) -> Vec<Field> {
    let head = format!("pub struct {name} {{");
    let mut doc = String::new();
    let mut fields = Vec::new();
    for line in source.lines().skip_while(|line| *line != head).skip(1).take_while(|line| *line != "}") {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            push_sentence(&mut doc, text);
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": "))
        {
            let kind = kind.split("//").next().unwrap_or(kind).trim().trim_end_matches(',');
            fields.push(Field { name: name.to_owned(), kind: kind.to_owned(), doc: plain(&doc) });
            doc.clear();
        } else if !line.starts_with("#[") {
            doc.clear();
        }
    }
    fields
}

/// The documentation of the module or crate itself (`//!`), as Markdown without links to items.
pub(super) fn module_doc(source: &str) -> String {
    let mut text = String::new();
    let mut in_code = false;
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("```") {
            in_code = !in_code;
        }
        text.push_str(if in_code { line } else { line.trim_end() });
        text.push('\n');
    }
    plain(&text)
}

fn push_sentence(doc: &mut String, text: &str) {
    if !doc.is_empty() {
        doc.push(' ');
    }
    doc.push_str(text.trim());
}

/// Without links to items, which a page of the book cannot follow: `[name]` and `[name](item)` become the name.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let (before, link) = rest.split_at(start);
        let Some(end) = link.find(']') else { break };
        out.push_str(before);
        let name = &link[1..end];
        let after = &link[end + 1..];
        // A target may end in `()`.
        let target = after.strip_prefix('(').and_then(|target| {
            let end = target.find(')')?;
            let end = if target[..end].ends_with('(') { end + 1 + target[end + 1..].find(')')? } else { end };
            Some(target.split_at(end))
        });
        rest = match target {
            Some((to, after)) if !to.starts_with("http") => {
                out.push_str(name);
                &after[1..]
            }
            None if name.starts_with('`') && name.ends_with('`') => {
                out.push_str(name);
                after
            }
            _ => {
                out.push_str(&link[..=end]);
                after
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_items_become_their_names() {
        assert_eq!(plain("a [`B`](crate::b), [`C`], [0, 1] and [d](crate)"), "a `B`, `C`, [0, 1] and d");
        assert_eq!(plain("(in [`b`](crate::b())), c"), "(in `b`), c");
        assert_eq!(plain("[web](https://example.org) [open"), "[web](https://example.org) [open");
    }

    #[test]
    fn fields_come_with_their_comments() {
        let source = "/// S.\npub struct S {\n    /// One\n    /// line.\n    #[serde(skip)]\n    pub a: Option<u8>,\n    b: u8,\n    /// B.\n    pub c: f64,\n}\n";
        let fields = fields(source, "S");
        let all: Vec<_> = fields.iter().map(|f| (f.name.as_str(), f.kind.as_str(), f.doc.as_str())).collect();
        assert_eq!(all, [("a", "Option<u8>", "One line."), ("c", "f64", "B.")]);
    }
}
