//! Text from other people on a terminal: control characters become visible.
//!
//! A terminal obeys control characters: it can change the clipboard, move the cursor, or show a line that nothing has
//! printed. Characters that control the direction of text can make a line read as another one. So both are written as
//! escapes such as `\u{1b}`. Pipes and files receive text unchanged; the caller decides.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns whether a terminal may obey the character instead of showing it: the controls of ASCII and of U+0080 to U+009F,
/// the line separators, and the controls of the direction of text (Unicode Standard Annex 9, section 2).
pub(crate) fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Returns `text` with every such character as an escape.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    push(&mut shown, text, is_obeyed);
    Cow::Owned(shown)
}

/// Returns a payload as text: tabs stay, other such characters are escapes, and so is each byte that is not UTF-8.
pub(crate) fn visible_payload(payload: &[u8]) -> String {
    let mut shown = String::with_capacity(payload.len() + 16);
    for chunk in payload.utf8_chunks() {
        push(&mut shown, chunk.valid(), |letter| letter != '\t' && is_obeyed(letter));
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02x}").expect("text takes more text");
        }
    }
    shown
}

fn push(shown: &mut String, text: &str, is_escaped: impl Fn(char) -> bool) {
    for letter in text.chars() {
        if is_escaped(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
}

/// Replaces such characters in JSON, so that the JSON means the same: in strings by `\u` escapes, elsewhere by spaces.
pub(crate) fn escape_json(json: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(json);
    if !text.contains(is_obeyed) {
        return;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            // Strings of valid JSON contain none of these unescaped, so here they are white space.
            '\t' | '\n' | '\r' => escaped.push(' '),
            letter if is_obeyed(letter) => {
                write!(escaped, "\\u{:04x}", u32::from(letter)).expect("text takes more text");
            }
            letter => escaped.push(letter),
        }
    }
    *json = escaped.into_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_shown_and_letters_are_not_changed() {
        for (text, expected) in [
            ("Grüße, 世界 👩‍👩‍👧", "Grüße, 世界 👩‍👩‍👧"),
            ("\u{1b}]52;c;cm0gLXJm\u{7}", "\\u{1b}]52;c;cm0gLXJm\\u{7}"),
            ("a\r\nb\tc\u{7f}\u{0}", "a\\r\\nb\\tc\\u{7f}\\u{0}"),
            ("\u{9b}31m\u{90}\u{9d}", "\\u{9b}31m\\u{90}\\u{9d}"),
            ("\u{202e}txt\u{2066}\u{200f}\u{61c}\u{2028}", "\\u{202e}txt\\u{2066}\\u{200f}\\u{61c}\\u{2028}"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn every_control_is_an_escape() {
        for letter in ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}').chain('\u{202a}'..='\u{202e}') {
            let shown = visible(letter.encode_utf8(&mut [0; 4])).into_owned();
            assert!(shown.starts_with('\\') && !shown.contains(is_obeyed), "{letter:?} {shown:?}");
        }
    }

    #[test]
    fn payloads_keep_their_tabs_and_show_bytes_that_are_no_text() {
        assert_eq!(visible_payload(b"a\tb\n\xff\xfe\x1b"), "a\tb\\n\\xff\\xfe\\u{1b}");
    }

    #[test]
    fn json_stays_the_same_json() {
        let mut json = "{\"a\":\t\"\u{9b}\u{202e}\u{7f}é\"\n}".as_bytes().to_vec();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        escape_json(&mut json);
        assert_eq!(String::from_utf8(json.clone()).unwrap(), "{\"a\": \"\\u009b\\u202e\\u007fé\" }");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap(), value);
    }
}
