//! Socket ids: how clients and back ends of the Pusher protocol name a connection.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};

/// The name of one connection, `RANDOM.CONNECTION`. The first number cannot be guessed, so that a signature for one connection is
/// never good for another, not even after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketId {
    random: u64,
    /// The broker's number for the connection.
    pub(crate) connection: u64,
}

/// A text that is no socket id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a socket id has the form 1234.5678, and is named in pusher:connection_established")]
pub(crate) struct SocketIdError;

impl SocketId {
    /// A new name for the connection with this number.
    pub(crate) fn new(connection: u64) -> Self {
        let mut bytes = [0; 8];
        // Without randomness from the system there is no TLS either. A weaker number is then better than no connection.
        if SystemRandom::new().fill(&mut bytes).is_err() {
            bytes = fastrand::u64(..).to_ne_bytes();
        }
        // Clients may read it as a number, which is exact up to 2^53 in JavaScript.
        Self { random: u64::from_ne_bytes(bytes) >> 11, connection }
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.random, self.connection)
    }
}

impl FromStr for SocketId {
    type Err = SocketIdError;

    fn from_str(text: &str) -> Result<Self, SocketIdError> {
        let number = |part: &str| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            // A number that is too large is no connection of this broker, and still the form of a socket id.
            is_number.then(|| part.parse().unwrap_or(u64::MAX))
        };
        let (random, connection) = text.split_once('.').ok_or(SocketIdError)?;
        let (random, connection) = number(random).zip(number(connection)).ok_or(SocketIdError)?;
        Ok(Self { random, connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_id_is_two_numbers_and_the_first_differs_from_connection_to_connection() {
        let (one, other) = (SocketId::new(7), SocketId::new(7));
        assert_ne!(one, other);
        assert_eq!(one.to_string().parse(), Ok(one));
        for text in ["", "1", "1.", ".1", "1.2.3", "a.1", "1.-2", "1 .2", "+1.2"] {
            assert_eq!(text.parse::<SocketId>(), Err(SocketIdError), "{text}");
        }
        assert!("99999999999999999999999.1".parse::<SocketId>().is_ok());
    }
}
