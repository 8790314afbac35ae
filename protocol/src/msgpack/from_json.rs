//! Converts a JSON payload to MessagePack.

use rmp::Marker;

use super::writer::Writer;

/// Appends one checked JSON value. The check when the payload was made bounds the depth of the recursion.
pub(super) fn write_value(text: &str, writer: &mut Writer) {
    Walk { text, at: 0 }.value(writer);
}

/// A place in a text that is known to be valid JSON, so that the first byte of a value tells what it is.
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    fn value(&mut self, writer: &mut Writer) {
        match self.next_byte() {
            Some(b'[') => self.container(b']', writer),
            Some(b'{') => self.container(b'}', writer),
            Some(b'"') => self.string(writer),
            Some(b't' | b'f' | b'n') => self.word(writer),
            _ => self.number(writer),
        }
    }

    /// Appends an array or object. Its length stands before its elements and is known after them: room for the short
    /// header is left, and a longer one is put in its place.
    fn container(&mut self, close: u8, writer: &mut Writer) {
        self.at += 1;
        let header = writer.bytes_mut().len();
        writer.nil();
        let mut len: u32 = 0;
        while let Some(byte) = self.next_byte() {
            match byte {
                b',' => self.at += 1,
                _ if byte == close => {
                    self.at += 1;
                    break;
                }
                b'"' if close == b'}' => {
                    self.string(writer);
                    self.pass_colon();
                    self.value(writer);
                    len += 1;
                }
                _ => {
                    self.value(writer);
                    len += 1;
                }
            }
        }
        if len < 16 {
            let short = if close == b']' { Marker::FixArray(len as u8) } else { Marker::FixMap(len as u8) };
            writer.bytes_mut()[header] = short.to_u8();
            return;
        }
        let mut long = Writer::after(Vec::new());
        if close == b']' {
            long.array(len)
        } else {
            long.map(len)
        }
        writer.bytes_mut().splice(header..=header, long.into_bytes());
    }

    fn string(&mut self, writer: &mut Writer) {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        self.at = (self.at + 1).min(bytes.len());
        let quoted = &self.text[start..self.at];
        if escaped {
            // Checked when the payload was made: this is a string, and every escape in it stands for a character.
            let text: String = serde_json::from_str(quoted).unwrap_or_default();
            writer.text(&text);
        } else {
            writer.text(quoted.trim_matches('"'));
        }
    }

    fn word(&mut self, writer: &mut Writer) {
        match self.take_while(|byte| byte.is_ascii_alphabetic()) {
            "true" => writer.boolean(true),
            "false" => writer.boolean(false),
            _ => writer.nil(),
        }
    }

    /// Appends a number: as an integer if it is written as one and fits 64 bits, else as the nearest float. A zero with
    /// a sign is a float, as integers have no such zero.
    fn number(&mut self, writer: &mut Writer) {
        let number = self.take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        if let Ok(unsigned) = number.parse() {
            writer.unsigned(unsigned);
        } else if let Ok(signed @ ..0) = number.parse() {
            writer.signed(signed);
        } else {
            writer.float(number.parse().unwrap_or(f64::NAN));
        }
    }

    fn pass_colon(&mut self) {
        if self.next_byte() == Some(b':') {
            self.at += 1;
        }
    }

    /// The next byte that is no white space, which is where the walk stands afterwards.
    fn next_byte(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn take_while(&mut self, belongs: impl Fn(&u8) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let len = rest.bytes().take_while(belongs).count();
        self.at += len;
        &rest[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[u8]) {
        let mut writer = Writer::after(Vec::new());
        write_value(text, &mut writer);
        assert_eq!(writer.into_bytes(), expected, "{text}");
    }

    #[test]
    fn numbers_are_integers_where_they_can_be() {
        check("0", &[0]);
        check("127", &[0x7f]);
        check("128", &[0xcc, 0x80]);
        check("18446744073709551615", &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        check("-1", &[0xff]);
        check("-9223372036854775808", &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        check("-9223372036854775809", &[0xcb, 0xc3, 0xe0, 0, 0, 0, 0, 0, 0]);
        check("18446744073709551616", &[0xcb, 0x43, 0xf0, 0, 0, 0, 0, 0, 0]);
        check("1.0", &[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        check("1E0", &[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        check("-0", &[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        check("1e999", &[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn containers_have_the_shortest_header() {
        check("[]", &[0x90]);
        check(" [ 1 , [ true , false , null ] ] ", &[0x92, 1, 0x93, 0xc3, 0xc2, 0xc0]);
        check(r#"{ "a" : { } , "\u00e4\n" : "x\\" }"#, b"\x82\xa1a\x80\xa3\xc3\xa4\n\xa2x\\");
        let ones = |len: usize| format!("[{}]", vec!["1"; len].join(","));
        check(&ones(15), &[vec![0x9f], vec![1; 15]].concat());
        check(&ones(16), &[vec![0xdc, 0, 16], vec![1; 16]].concat());
        check(&ones(65536), &[vec![0xdd, 0, 1, 0, 0], vec![1; 65536]].concat());
        check(&format!("[{}]", ones(16)), &[vec![0x91, 0xdc, 0, 16], vec![1; 16]].concat());
    }
}
