//! Small questions about single tokens.

use proc_macro2::{Group, Spacing, TokenStream, TokenTree};

pub(super) fn line_of(token: &TokenTree) -> usize {
    token.span().start().line
}

pub(super) fn is_sign(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

pub(super) fn is_double_colon(tokens: &[TokenTree]) -> bool {
    matches!(tokens.first(), Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
        && is_sign(tokens.get(1), ':')
}

/// The name, without the `r#` of a raw identifier.
pub(super) fn name_of(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => {
            let text = ident.to_string();
            Some(text.strip_prefix("r#").map_or_else(|| text.clone(), str::to_owned))
        }
        _ => None,
    }
}

/// The other name, where `as other_name` stands here.
pub(super) fn alias_at(tokens: &[TokenTree]) -> Option<String> {
    (name_of(tokens.first()).as_deref() == Some("as")).then(|| name_of(tokens.get(1)).unwrap_or_default())
}

/// Whether an attribute is `#[cfg(test)]`.
pub(super) fn is_cfg_test(attribute: &Group) -> bool {
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match tokens.as_slice() {
        [name, TokenTree::Group(condition)] => {
            name_of(Some(name)).as_deref() == Some("cfg") && condition.stream().to_string() == "test"
        }
        _ => false,
    }
}

/// The text of a string literal; escapes are left as written, for no path needs any.
pub(super) fn string_value(literal: &str) -> Option<String> {
    let start = literal.find('"')?;
    let end = literal.rfind('"')?;
    let prefix_is_short = literal[..start].chars().all(|sign| matches!(sign, 'r' | 'b' | 'c' | '#'));
    (prefix_is_short && end > start).then(|| literal[start + 1..end].to_owned())
}

pub(super) fn collect_strings(stream: TokenStream, into: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Literal(literal) => into.extend(string_value(&literal.to_string())),
            TokenTree::Group(group) => collect_strings(group.stream(), into),
            _ => {}
        }
    }
}

/// A path without `.` and `..`.
pub(super) fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
