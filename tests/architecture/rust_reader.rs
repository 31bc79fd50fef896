//! Walks the tokens of a Rust file and notes what the rules ask about: paths, inclusions, functions.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::rust::{Flat, Function, Inclusion, NamedPath, RustFile, Tail, module_of};
use super::rust_tokens::{
    alias_at, collect_strings, is_cfg_test, is_double_colon, is_sign, line_of, name_of, normalized, string_value,
};
use super::tree::{SourceTree, folder_of};

/// Where in the file the reader stands.
#[derive(Clone)]
struct Scope {
    module: Vec<String>,
    function: Option<String>,
    in_tests: bool,
}

pub(super) struct Reader<'tree> {
    file: RustFile,
    tree: &'tree SourceTree,
    /// What `crate` means here.
    root: Vec<String>,
    /// Whether an attribute says that the item which follows is for tests only.
    next_is_test: bool,
}

impl<'tree> Reader<'tree> {
    /// The tree tells which relative paths are child modules.
    pub(super) fn new(path: &str, tree: &'tree SourceTree) -> Self {
        let file = RustFile { path: path.to_owned(), ..RustFile::default() };
        Self { file, tree, root: root_of(path, tree), next_is_test: false }
    }

    pub(super) fn read(mut self, stream: TokenStream) -> RustFile {
        let scope = Scope { module: module_of(&self.file.path), function: None, in_tests: false };
        self.read_stream(stream, &scope);
        self.file
    }

    fn read_stream(&mut self, stream: TokenStream, scope: &Scope) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        self.read_tokens(&tokens, scope);
    }

    fn read_tokens(&mut self, tokens: &[TokenTree], scope: &Scope) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += match token {
                TokenTree::Group(group) => {
                    self.read_group(group, scope);
                    1
                }
                TokenTree::Literal(literal) => {
                    let text = string_value(&literal.to_string())
                        .map_or_else(|| literal.to_string(), |value| format!("\"{value}"));
                    self.push(text, token);
                    1
                }
                TokenTree::Punct(_) => self.read_sign(&tokens[at..], scope),
                TokenTree::Ident(_) => self.read_name(&tokens[at..], scope),
            };
        }
    }

    fn push(&mut self, text: impl Into<String>, token: &TokenTree) {
        self.file.flat.push(Flat { text: text.into(), line: line_of(token) });
    }

    fn read_group(&mut self, group: &Group, scope: &Scope) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        let line = group.span_open().start().line;
        self.file.flat.push(Flat { text: open.to_owned(), line });
        self.read_stream(group.stream(), scope);
        let line = group.span_close().start().line;
        self.file.flat.push(Flat { text: close.to_owned(), line });
    }

    /// A sign: a lifetime, an attribute, or just itself. Returns how many tokens it took.
    fn read_sign(&mut self, tokens: &[TokenTree], scope: &Scope) -> usize {
        if is_sign(tokens.first(), '\'') {
            // A lifetime: `'static` is not the keyword `static`.
            return 2;
        }
        if is_sign(tokens.first(), '#') {
            let inner = usize::from(is_sign(tokens.get(1), '!'));
            if let Some(TokenTree::Group(group)) = tokens.get(1 + inner) {
                let is_test = self.next_is_test || is_cfg_test(group);
                self.read_attribute(group, scope);
                self.next_is_test = is_test;
                return 2 + inner;
            }
        }
        self.push(tokens[0].to_string(), &tokens[0]);
        1
    }

    /// An attribute: doc comments are dropped, `#[path]` pulls in a file, the rest is read as code.
    fn read_attribute(&mut self, group: &Group, scope: &Scope) {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        let name = name_of(tokens.first());
        let value = is_sign(tokens.get(1), '=').then(|| tokens.get(2)).flatten();
        if let (Some("doc"), Some(TokenTree::Literal(_))) = (name.as_deref(), value) {
            return;
        }
        self.read_path_attribute(&tokens, scope);
        if let (Some("cfg_attr"), Some(TokenTree::Group(inner))) = (name.as_deref(), tokens.get(1)) {
            let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
            for start in 0..inner.len() {
                self.read_path_attribute(&inner[start..], scope);
            }
        }
        self.read_group(group, scope);
    }

    fn read_path_attribute(&mut self, tokens: &[TokenTree], scope: &Scope) {
        if name_of(tokens.first()).as_deref() != Some("path") || !is_sign(tokens.get(1), '=') {
            return;
        }
        if let Some(TokenTree::Literal(literal)) = tokens.get(2)
            && let Some(value) = string_value(&literal.to_string())
        {
            let target = normalized(&format!("{}/{value}", folder_of(&self.file.path)));
            self.include("#[path]", target, line_of(&tokens[0]), scope);
        }
    }

    fn include(&mut self, macro_name: &str, target: String, line: usize, scope: &Scope) {
        self.file.inclusions.push(Inclusion {
            macro_name: macro_name.to_owned(),
            target,
            function: scope.function.clone(),
            line,
        });
    }

    /// A name: an inline module, a function, a macro call, a visibility or a path. Returns how many tokens it took.
    fn read_name(&mut self, tokens: &[TokenTree], scope: &Scope) -> usize {
        let name = name_of(tokens.first()).unwrap_or_default();
        let second = name_of(tokens.get(1));
        // `#[cfg(test)] pub mod`: the visibility stands between what is said and whom it is said of.
        let for_tests = self.next_is_test;
        self.next_is_test &= name == "pub";
        match (name.as_str(), &second, tokens.get(2)) {
            ("mod", Some(child), Some(TokenTree::Group(body))) => {
                let mut inner = Scope { in_tests: scope.in_tests || for_tests, ..scope.clone() };
                inner.module.push(child.clone());
                self.push(name, &tokens[0]);
                self.push(child.as_str(), &tokens[1]);
                self.read_group(body, &inner);
                return 3;
            }
            ("fn", Some(function), _) => return self.read_function(function, tokens, scope),
            _ => {}
        }
        if let ("pub", Some(TokenTree::Group(group))) = (name.as_str(), tokens.get(1))
            && group.delimiter() == Delimiter::Parenthesis
        {
            // `pub(in crate::features)` says who may see it, and imports nothing.
            self.push(name, &tokens[0]);
            return 2;
        }
        self.read_path(tokens, scope)
    }

    fn read_function(&mut self, function: &str, tokens: &[TokenTree], scope: &Scope) -> usize {
        self.push("fn", &tokens[0]);
        self.push(function, &tokens[1]);
        let body = tokens.iter().position(|token| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            other => is_sign(Some(other), ';'),
        });
        let Some(body) = body else { return 2 };
        self.read_tokens(&tokens[2..body], scope);
        if let TokenTree::Group(group) = &tokens[body] {
            self.file.functions.push(Function {
                name: function.to_owned(),
                first_line: line_of(&tokens[0]),
                last_line: group.span_close().end().line,
            });
            let inner = Scope { function: Some(function.to_owned()), ..scope.clone() };
            self.read_group(group, &inner);
        }
        body + 1
    }

    /// `include!` and its family start at the file, `query_file!` and its family at the repository's root.
    fn read_file_macro(&mut self, name: &str, group: &Group, line: usize, scope: &Scope) {
        let from_root = name.starts_with("query_file");
        if !from_root && !matches!(name, "include" | "include_str" | "include_bytes") {
            return;
        }
        let mut parts = Vec::new();
        // `query_file_as!(Row, "…", args)`: what follows the path are arguments.
        collect_strings(group.stream(), &mut parts);
        if from_root {
            parts.truncate(1);
        }
        let rooted = parts.iter().any(|part| part == "CARGO_MANIFEST_DIR");
        parts.retain(|part| part != "CARGO_MANIFEST_DIR");
        let written = parts.concat();
        let target = if from_root || rooted {
            normalized(&written)
        } else {
            normalized(&format!("{}/{written}", folder_of(&self.file.path)))
        };
        self.include(name, target, line, scope);
    }

    /// A path with everything that hangs on it. Returns how many tokens it took.
    fn read_path(&mut self, tokens: &[TokenTree], scope: &Scope) -> usize {
        let line = line_of(&tokens[0]);
        let mut segments = vec![name_of(tokens.first()).unwrap_or_default()];
        self.push(segments[0].as_str(), &tokens[0]);
        let mut at = 1;
        let mut tail = Tail::Plain;
        while is_double_colon(&tokens[at..]) {
            self.push("::", &tokens[at]);
            at += 2;
            match tokens.get(at) {
                Some(TokenTree::Ident(_)) => {
                    segments.push(name_of(tokens.get(at)).unwrap_or_default());
                    self.push(segments[segments.len() - 1].as_str(), &tokens[at]);
                    at += 1;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.flatten(group);
                    self.name_imports(&segments, group, scope);
                    return at + 1;
                }
                sign if is_sign(sign, '*') => {
                    tail = Tail::Glob;
                    at += 1;
                    break;
                }
                sign if is_sign(sign, '$') => {
                    // A macro's variable: what it stands for cannot be known here.
                    segments.push("$".to_owned());
                    break;
                }
                _ => break,
            }
        }
        let alias = alias_at(&tokens[at..]);
        if alias.is_some() {
            tail = Tail::Alias;
        }
        if let (Some(name), Some(TokenTree::Group(group))) = (segments.last(), tokens.get(at + 1))
            && is_sign(tokens.get(at), '!')
        {
            self.read_file_macro(name, group, line, scope);
        }
        if segments.len() > 1 || tail != Tail::Plain {
            self.name_path(segments, tail, alias, line, scope);
        }
        at
    }

    /// `prefix::{a, b::c, self as d}`: each entry is a path of its own.
    fn name_imports(&mut self, prefix: &[String], group: &Group, scope: &Scope) {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        for entry in tokens.split(|token| is_sign(Some(token), ',')) {
            let Some(first) = entry.first() else { continue };
            let mut segments = prefix.to_vec();
            let mut tail = Tail::Plain;
            let mut alias = None;
            for (at, token) in entry.iter().enumerate() {
                alias = alias_at(&entry[at..]);
                if alias.is_some() {
                    tail = Tail::Alias;
                    break;
                }
                match token {
                    TokenTree::Group(inner) => self.name_imports(&segments, inner, scope),
                    sign if is_sign(Some(sign), '*') => tail = Tail::Glob,
                    _ => segments.extend(name_of(Some(token)).filter(|name| name != "self")),
                }
            }
            if !matches!(entry.last(), Some(TokenTree::Group(_))) {
                self.name_path(segments, tail, alias, line_of(first), scope);
            }
        }
    }

    /// Only the tokens, for an import group whose paths are taken apart elsewhere.
    fn flatten(&mut self, group: &Group) {
        for token in group.stream() {
            match &token {
                TokenTree::Group(inner) => self.flatten(inner),
                TokenTree::Ident(_) => self.push(name_of(Some(&token)).unwrap_or_default(), &token),
                _ => self.push(token.to_string(), &token),
            }
        }
    }

    fn name_path(&mut self, written: Vec<String>, tail: Tail, alias: Option<String>, line: usize, scope: &Scope) {
        let segments = self.resolved(written, &scope.module);
        self.file.paths.push(NamedPath { segments, tail, alias, line, in_tests: scope.in_tests });
    }

    /// What a written path means in a module. A path into another crate stays as it is.
    fn resolved(&self, written: Vec<String>, module: &[String]) -> Vec<String> {
        let first = written.first().map_or("", String::as_str);
        let root = match first {
            "crate" => Some(self.root.clone()),
            "halfhour" => Some(vec!["crate".to_owned()]),
            other => inner_crate(other, self.tree),
        };
        if let Some(root) = root {
            return root.into_iter().chain(written.into_iter().skip(1)).collect();
        }
        let folder = format!("src{}", module[1..].iter().fold(String::new(), |path, part| path + "/" + part));
        let child = [format!("{folder}/{first}.rs"), format!("{folder}/{first}/mod.rs")]
            .iter()
            .any(|path| self.tree.contains(path));
        if !child && !matches!(first, "self" | "super") {
            return written;
        }
        let mut meant = module.to_vec();
        for segment in written {
            match segment.as_str() {
                "self" => {}
                "super" => meant.truncate(meant.len().saturating_sub(1).max(1)),
                _ => meant.push(segment),
            }
        }
        meant
    }
}

/// The root of the crate that a file belongs to: the house, or a crate within it (`src/embedded_postgres/lib.rs`).
fn root_of(path: &str, tree: &SourceTree) -> Vec<String> {
    let mut root = module_of(path);
    while root.len() > 1 && !tree.contains(&format!("src/{}/lib.rs", root[1..].join("/"))) {
        root.pop();
    }
    root
}

/// The module as which a crate within the house is read, by the crate's name.
fn inner_crate(name: &str, tree: &SourceTree) -> Option<Vec<String>> {
    let folder = name.strip_prefix("halfhour_")?;
    tree.contains(&format!("src/{folder}/lib.rs")).then(|| vec!["crate".to_owned(), folder.to_owned()])
}
