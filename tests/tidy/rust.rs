//! A scanner for Rust source that knows just enough to be trusted with braces and names.
//!
//! It blanks out what is no code (comments, strings, characters) and finds functions and test modules by counting braces.
//! It does not know the grammar of Rust; rustfmt and the compiler have already seen to that.

use std::ops::Range;

/// A function with a body.
pub(crate) struct Function {
    /// The name of the function.
    pub(crate) name: String,
    /// The line it begins on, counted from 1.
    pub(crate) line: usize,
    /// The number of lines from its signature to its closing brace.
    pub(crate) lines: usize,
}

/// The text with every comment, string and character literal turned into spaces, so that offsets and lines stay as they
/// were.
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skip(bytes, at);
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("only whole literals and comments were replaced, by ASCII")
}

/// The end of the comment or literal that begins at `at`, or `at` itself if none does.
fn skip(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_word = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !after_word || bytes[at - 1] == b'b' => at + raw_string(rest),
        [b'\'', b'\\', ..] => at + quoted(rest, b'\''),
        // A quote is a character only if it closes after one; otherwise it begins a lifetime.
        [b'\'', first, ..] => {
            let close = 1 + first.leading_ones().max(1) as usize;
            if rest.get(close) == Some(&b'\'') { at + close + 1 } else { at }
        }
        _ => at,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a raw string, or 0 if this is a raw identifier such as `r#type`.
fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let close = [vec![b'"'], vec![b'#'; hashes]].concat();
    let body = 2 + hashes;
    let found = rest[body..].windows(close.len()).position(|window| window == close);
    found.map_or(rest.len(), |length| body + length + close.len())
}

/// Whether the byte can be part of a name.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Every place where `word` stands as a whole name in `code`, as offsets.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let free = |byte: Option<&u8>| !byte.is_some_and(|byte| is_word(*byte));
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        free(at.checked_sub(1).and_then(|before| bytes.get(before))) && free(bytes.get(at + word.len()))
    })
}

/// The line of the byte at `offset`, counted from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
}

/// The offset just past the bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The code with its `#[cfg(test)]` modules blanked out.
pub(crate) fn without_test_modules(code: &str) -> String {
    let mut blanked = code.to_owned();
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        let after = &code[at + attribute.len()..];
        if !after.trim_start().starts_with("mod ") {
            continue;
        }
        let body = after.find(['{', ';']).map(|found| at + attribute.len() + found);
        if let Some(open) = body.filter(|open| code.as_bytes()[*open] == b'{') {
            blank(&mut blanked, at..closing(code, open));
        }
    }
    blanked
}

fn blank(text: &mut String, range: Range<usize>) {
    let spaces: String =
        text[range.clone()].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
    text.replace_range(range, &spaces);
}

/// Every function of `code` that has a body, those inside others included.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    words(code, "fn")
        .filter_map(|at| {
            let signature = &code[at + 2..];
            let name: String =
                signature.trim_start().bytes().take_while(|byte| is_word(*byte)).map(char::from).collect();
            // Without a name it is a type such as `fn(u8) -> u8`; with a semicolon first it has no body. A semicolon
            // inside brackets belongs to an array type.
            let mut depth = 0;
            let end = signature.bytes().position(|byte| {
                depth += i32::from(b"([".contains(&byte)) - i32::from(b")]".contains(&byte));
                byte == b'{' || (byte == b';' && depth == 0)
            })?;
            let open = at + 2 + end;
            if name.is_empty() || code.as_bytes()[open] == b';' {
                return None;
            }
            let line = line_at(code, at);
            Some(Function { name, line, lines: line_at(code, closing(code, open) - 1) - line + 1 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blanked() {
        for (text, expected) in [
            ("a // } b\nc", "a c"),
            ("a /* { /* } */ */ b", "a b"),
            (r#"a "}\" {" b"#, "a b"),
            (r##"a r#"}" {"# b"##, "a b"),
            (r#"br"{" b'{' '{' '\'' 'é' c"#, "b b c"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("r#type", "r#type"),
        ] {
            let code = code_only(text);
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
            assert_eq!((code.len(), code.lines().count()), (text.len(), text.lines().count()), "{text}");
        }
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let code = "trait T { fn none(&self); }\nfn one() {}\nfn four(\n    x: [u8; 2],\n) {\n}\nlet f: fn() = one;\n";
        let found: Vec<_> = functions(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("one".to_owned(), 2, 1), ("four".to_owned(), 3, 4)]);
    }

    #[test]
    fn test_modules_are_left_out() {
        let code =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(test)]\nmod more;\nfn c() {}\n";
        let names: Vec<_> = functions(&without_test_modules(code)).into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["a", "c"]);
    }
}
