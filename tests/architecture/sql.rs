//! Cuts SQL into tokens, so that comments, strings and quoted names are told from keywords.

/// One token of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word as written: a keyword or a name.
    Word(String),
    /// `"A Name"`, without the quotes.
    Quoted(String),
    /// `'text'`, or a dollar-quoted body.
    Text(String),
    /// `$1`, a number, an operator's character.
    Sign(char),
}

/// A token and the line it starts on.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: usize,
}

impl Placed {
    /// The word in lower case, as the database folds it; quoted names are never keywords.
    pub(super) fn keyword(&self) -> Option<String> {
        match &self.token {
            Token::Word(word) => Some(word.to_lowercase()),
            _ => None,
        }
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.token == Token::Sign(sign)
    }
}

/// The tokens of a statement list, without its comments.
pub(super) fn tokens(sql: &str) -> Vec<Placed> {
    let mut lexer = Lexer { rest: sql, line: 1, found: Vec::new() };
    while lexer.step() {}
    lexer.found
}

struct Lexer<'sql> {
    rest: &'sql str,
    line: usize,
    found: Vec<Placed>,
}

impl Lexer<'_> {
    /// Takes one token or one comment; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        if self.rest.starts_with("--") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.skip(end);
        } else if self.rest.starts_with("/*") {
            self.skip(block_comment_length(self.rest));
        } else if first == '\'' {
            self.text(0);
        } else if first == '"' {
            self.quoted();
        } else if first == '$' {
            self.dollar();
        } else if first.is_alphabetic() || first == '_' {
            self.word();
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            self.take(Token::Sign(first), first.len_utf8());
        }
        true
    }

    fn skip(&mut self, length: usize) {
        let (skipped, rest) = self.rest.split_at(length);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }

    fn take(&mut self, token: Token, length: usize) {
        self.found.push(Placed { token, line: self.line });
        self.skip(length);
    }

    fn word(&mut self) {
        let part_of_name = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == '$';
        let length = self.rest.find(|sign| !part_of_name(sign)).unwrap_or(self.rest.len());
        let word = self.rest[..length].to_owned();
        // `E'…'`, `B'…'`, `N'…'` and `X'…'` are strings, not words before strings.
        if length == 1 && self.rest[1..].starts_with('\'') && "eEbBnNxX".contains(&word) {
            self.text(1);
        } else {
            self.take(Token::Word(word), length);
        }
    }

    /// A string after a prefix of so many bytes. Only `E'…'` knows the backslash.
    fn text(&mut self, prefix: usize) {
        let escapes = self.rest.starts_with(['e', 'E']);
        let (value, length) = delimited(&self.rest[prefix..], '\'', escapes);
        self.take(Token::Text(value), prefix + length);
    }

    fn quoted(&mut self) {
        let (value, length) = delimited(self.rest, '"', false);
        self.take(Token::Quoted(value), length);
    }

    /// `$tag$ … $tag$`, or the `$` of a parameter.
    fn dollar(&mut self) {
        let tag_end = self.rest[1..].find('$').map(|end| end + 2);
        let tag = tag_end.map(|end| &self.rest[..end]).filter(|tag| {
            let name = &tag[1..tag.len() - 1];
            name.chars().all(|sign| sign.is_alphanumeric() || sign == '_')
                && !name.starts_with(|sign: char| sign.is_numeric())
        });
        let body = tag.and_then(|tag| {
            let end = self.rest[tag.len()..].find(tag)?;
            Some((self.rest[tag.len()..tag.len() + end].to_owned(), end + 2 * tag.len()))
        });
        match body {
            Some((text, length)) => self.take(Token::Text(text), length),
            None => self.take(Token::Sign('$'), 1),
        }
    }
}

/// Block comments nest.
fn block_comment_length(sql: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < sql.len() {
        if sql[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if sql[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += sql[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    sql.len()
}

/// What stands between two delimiters, where a doubled one stands for itself; and the whole length.
fn delimited(sql: &str, delimiter: char, escapes: bool) -> (String, usize) {
    let mut value = String::new();
    let mut signs = sql.char_indices().skip(1).peekable();
    while let Some((at, sign)) = signs.next() {
        if escapes && sign == '\\' {
            value.extend(signs.next().map(|(_, escaped)| escaped));
        } else if sign != delimiter || signs.next_if(|(_, next)| *next == delimiter).is_some() {
            value.push(sign);
        } else {
            return (value, at + sign.len_utf8());
        }
    }
    (value, sql.len())
}

#[test]
fn comments_nest_and_strings_may_hold_anything() {
    let found: Vec<Token> =
        tokens("select /* a /* b */ c */ 'it''s -- no' -- end\n, \"A\"\"b\", E'\\'', $x$ y $x$, $1")
            .into_iter()
            .map(|placed| placed.token)
            .collect();
    let expected = vec![
        Token::Word("select".into()),
        Token::Text("it's -- no".into()),
        Token::Sign(','),
        Token::Quoted("A\"b".into()),
        Token::Sign(','),
        Token::Text("'".into()),
        Token::Sign(','),
        Token::Text(" y ".into()),
        Token::Sign(','),
        Token::Sign('$'),
        Token::Sign('1'),
    ];
    assert_eq!(found, expected);
}
