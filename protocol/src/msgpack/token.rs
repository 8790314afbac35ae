//! The tokens of MessagePack, read one at a time and without recursion from untrusted bytes.
//!
//! A token says how many elements or bytes are announced; nothing is reserved for them. [`Reader::skip`] gives up as
//! soon as more elements are announced than there are bytes left.

use rmp::Marker;

/// Bytes that are not the MessagePack they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

const CUT_SHORT: Malformed = Malformed("it ends before all that it announces");

/// A scalar, or the header of an array or map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Boolean(bool),
    /// Every integer that is not negative, however it is written.
    Unsigned(u64),
    /// A negative integer of any size.
    Negative(i64),
    /// 32-bit floats are widened, which changes no value.
    Float(f64),
    /// A str, not yet checked to be UTF-8.
    Text(&'a [u8]),
    Binary(&'a [u8]),
    /// So many elements follow.
    Array(u32),
    /// So many pairs of key and value follow.
    Map(u32),
    Ext,
}

/// Reads tokens from the front of a slice.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader that begins at the first of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next token.
    pub(crate) fn token(&mut self) -> Result<Token<'a>, Malformed> {
        let [marker] = self.fixed()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Token::Nil,
            Marker::False => Token::Boolean(false),
            Marker::True => Token::Boolean(true),
            Marker::FixPos(number) => Token::Unsigned(u64::from(number)),
            Marker::FixNeg(number) => Token::Negative(i64::from(number)),
            Marker::U8 => Token::Unsigned(u64::from(u8::from_be_bytes(self.fixed()?))),
            Marker::U16 => Token::Unsigned(u64::from(u16::from_be_bytes(self.fixed()?))),
            Marker::U32 => Token::Unsigned(u64::from(u32::from_be_bytes(self.fixed()?))),
            Marker::U64 => Token::Unsigned(u64::from_be_bytes(self.fixed()?)),
            Marker::I8 => signed(i64::from(i8::from_be_bytes(self.fixed()?))),
            Marker::I16 => signed(i64::from(i16::from_be_bytes(self.fixed()?))),
            Marker::I32 => signed(i64::from(i32::from_be_bytes(self.fixed()?))),
            Marker::I64 => signed(i64::from_be_bytes(self.fixed()?)),
            Marker::F32 => Token::Float(f64::from(f32::from_be_bytes(self.fixed()?))),
            Marker::F64 => Token::Float(f64::from_be_bytes(self.fixed()?)),
            Marker::FixStr(len) => Token::Text(self.take(u32::from(len))?),
            Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let len = self.len(marker - 0xd9)?;
                Token::Text(self.take(len)?)
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let len = self.len(marker - 0xc4)?;
                Token::Binary(self.take(len)?)
            }
            Marker::FixArray(len) => Token::Array(u32::from(len)),
            Marker::Array16 => Token::Array(self.len(1)?),
            Marker::Array32 => Token::Array(self.len(2)?),
            Marker::FixMap(len) => Token::Map(u32::from(len)),
            Marker::Map16 => Token::Map(self.len(1)?),
            Marker::Map32 => Token::Map(self.len(2)?),
            Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => {
                let len = self.len(marker - 0xc7)?;
                self.ext(len)?
            }
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Reserved => return Err(Malformed("the byte 0xc1 stands for nothing")),
        })
    }

    /// Passes over one whole value and gives its bytes.
    pub(crate) fn skip(&mut self) -> Result<&'a [u8], Malformed> {
        let from = self.rest;
        let mut values: u64 = 1;
        while values > 0 {
            values -= 1;
            match self.token()? {
                Token::Array(len) => values += u64::from(len),
                Token::Map(len) => values += 2 * u64::from(len),
                _ => {}
            }
            // Every value takes a byte at least. This also keeps the sum far from its end.
            if values > self.rest.len() as u64 {
                return Err(CUT_SHORT);
            }
        }
        Ok(&from[..from.len() - self.rest.len()])
    }

    /// A length of one, two or four bytes.
    fn len(&mut self, width: u8) -> Result<u32, Malformed> {
        Ok(match width {
            0 => u32::from(u8::from_be_bytes(self.fixed()?)),
            1 => u32::from(u16::from_be_bytes(self.fixed()?)),
            _ => u32::from_be_bytes(self.fixed()?),
        })
    }

    fn ext(&mut self, len: u32) -> Result<Token<'a>, Malformed> {
        let [_kind] = self.fixed()?;
        self.take(len)?;
        Ok(Token::Ext)
    }

    fn take(&mut self, len: u32) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len as usize).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }
}

fn signed<'a>(number: i64) -> Token<'a> {
    u64::try_from(number).map_or(Token::Negative(number), Token::Unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<Token<'_>, Malformed>) {
        assert_eq!(Reader::new(bytes).token(), expected, "{bytes:02x?}");
    }

    #[test]
    fn every_kind_is_distinguished() {
        check(&[0x7f], Ok(Token::Unsigned(127)));
        check(&[0xe0], Ok(Token::Negative(-32)));
        check(&[0xcc, 0xff], Ok(Token::Unsigned(255)));
        check(&[0xd1, 0x01, 0x00], Ok(Token::Unsigned(256)));
        check(&[0xd2, 0xff, 0xff, 0xff, 0xfe], Ok(Token::Negative(-2)));
        check(&[0xa1, b'a'], Ok(Token::Text(b"a")));
        check(&[0xd9, 1, b'a'], Ok(Token::Text(b"a")));
        check(&[0xda, 0, 1, b'a'], Ok(Token::Text(b"a")));
        check(&[0xdb, 0, 0, 0, 1, b'a'], Ok(Token::Text(b"a")));
        check(&[0xc4, 1, 7], Ok(Token::Binary(&[7])));
        check(&[0xc5, 0, 1, 7], Ok(Token::Binary(&[7])));
        check(&[0xc6, 0, 0, 0, 1, 7], Ok(Token::Binary(&[7])));
        check(&[0xdc, 0, 3], Ok(Token::Array(3)));
        check(&[0xdf, 0, 0, 0, 3], Ok(Token::Map(3)));
        check(&[0xd4, 1, 2], Ok(Token::Ext));
        check(&[0xc7, 3, 1, 2, 3, 4], Ok(Token::Ext));
        check(&[0xc9, 0, 0, 0, 1, 1, 2], Ok(Token::Ext));
        check(&[0xc1], Err(Malformed("the byte 0xc1 stands for nothing")));
        for cut in
            [&[][..], &[0xcd, 1], &[0xa2, b'a'], &[0xdb, 0xff, 0xff, 0xff, 0xff, b'a'], &[0xd8, 1], &[0xc7]]
        {
            check(cut, Err(CUT_SHORT));
        }
    }

    #[test]
    fn what_is_announced_but_not_there_ends_the_skip_at_once() {
        for header in [[0xdd, 0xff, 0xff, 0xff, 0xff], [0xdf, 0xff, 0xff, 0xff, 0xff]] {
            let mut bytes = Vec::new();
            for _ in 0..1000 {
                bytes.extend_from_slice(&header);
            }
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.skip(), Err(CUT_SHORT));
            assert_eq!(reader.rest.len(), bytes.len() - header.len());
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        let mut bytes = vec![0x91; 1_000_000];
        bytes.push(0xc0);
        assert_eq!(Reader::new(&bytes).skip().map(<[u8]>::len), Ok(bytes.len()));
    }
}
