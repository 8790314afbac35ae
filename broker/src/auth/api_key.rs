//! API keys: finds the configured key that a back end shows.

use fanwire_core::identity::Identity;

use crate::key_hash::KeyHash;

/// An API key that is accepted.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    /// The name of the key in the configuration.
    pub(crate) name: String,
    pub(crate) hash: KeyHash,
    /// The identity that the key gives.
    pub(crate) identity: Identity,
}

/// Returns the key that equals `shown`. Compares with all keys, so that the time does not depend on the key.
pub(super) fn find<'k>(keys: &'k [ApiKey], shown: &str) -> Option<&'k ApiKey> {
    let hash = KeyHash::of(shown);
    keys.iter().fold(None, |found, key| if key.hash.equals(&hash) { Some(key) } else { found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_hash::KEY_PREFIX;

    #[test]
    fn a_key_is_known_by_its_hash_alone() {
        let (shown, hash) = KeyHash::generate().unwrap();
        let written = hash.to_string();
        let keys: Vec<ApiKey> = [KeyHash::of("another"), written.parse().unwrap()]
            .into_iter()
            .zip(["first", "second"])
            .map(|(hash, name)| ApiKey { name: name.to_owned(), hash, identity: Identity::Anonymous })
            .collect();
        assert_eq!(find(&keys, shown.reveal()).map(|key| key.name.as_str()), Some("second"));
        assert_eq!(find(&keys, "another").map(|key| key.name.as_str()), Some("first"));
        for wrong in ["", KEY_PREFIX, &written, &shown.reveal()[..46], &format!("{}x", shown.reveal())] {
            assert!(find(&keys, wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{keys:?} {shown:?}").contains(&written[7..20]));
    }
}
