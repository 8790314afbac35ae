//! Tokens that are accepted, and every way in which one is not. The keys under `fixtures/` are for these tests alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanwire_core::identity::Holder;
use fanwire_protocol::Payload;
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW_MS: u64 = 1_800_000_000_000;
const NOW: u64 = NOW_MS / 1000;

const RSA: &[u8] = include_bytes!("fixtures/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("fixtures/rsa.pub.pem");
const P256: &[u8] = include_bytes!("fixtures/p256.pem");
const P256_PUBLIC: &[u8] = include_bytes!("fixtures/p256.pub.pem");
const ED25519: &[u8] = include_bytes!("fixtures/ed25519.pem");
const ED25519_PUBLIC: &[u8] = include_bytes!("fixtures/ed25519.pub.pem");
const P384_PUBLIC: &[u8] = include_bytes!("fixtures/p384.pub.pem");

fn secret_key() -> Vec<VerifyingKey> {
    vec![VerifyingKey::secret(SECRET).unwrap()]
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with exactly this header and these claims, well signed with the secret.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes())))
}

fn of_claims(claims: &Value) -> String {
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
}

fn judge(token: &str) -> Result<Identity, TokenError> {
    verify(token, &secret_key(), &ClaimRules::default(), NOW_MS)
}

fn check_claim_refused(claims: &Value, rules: &ClaimRules, mention: &str) {
    match verify(&of_claims(claims), &secret_key(), rules, NOW_MS) {
        Err(TokenError::Claim(message)) => assert!(message.contains(mention), "{message} for {claims}"),
        other => panic!("expected a refused claim, got {other:?} for {claims}"),
    }
}

#[test]
fn a_good_token_says_who_and_what() {
    let claims = json!({
        "sub": "ann", "exp": NOW + 60, "nbf": NOW + 20, "iat": NOW, "else": {"is": "let be"},
        "fanwire": {"publish": ["a.*"], "subscribe": ["b.>", "c"], "info": {"name": "Ann"}},
    });
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let expected = Identity::holder(Holder {
        user: Some("ann".into()),
        info: Some(Payload::from_json(r#"{"name":"Ann"}"#).unwrap()),
        grants: fanwire_core::identity::Grants {
            publish: patterns(&["a.*"]),
            subscribe: patterns(&["b.>", "c"]),
        },
        expires_ms: Some(NOW_MS + 60_000),
        ..Holder::default()
    });
    assert_eq!(judge(&of_claims(&claims)), Ok(expected));
    let fraction = judge(&of_claims(&json!({"exp": NOW as f64 + 0.5}))).unwrap();
    assert_eq!((fraction.expires_ms(), fraction.user()), (Some(NOW_MS + 500), None));
}

#[test]
fn every_algorithm_signs_and_is_checked_with_its_own_key_only() {
    let secret = |algorithm| SigningKey::secret(algorithm, SECRET).unwrap();
    let signers = [
        secret(Algorithm::Hs256),
        secret(Algorithm::Hs384),
        secret(Algorithm::Hs512),
        SigningKey::from_pem(RSA).unwrap(),
        SigningKey::from_pem(P256).unwrap(),
        SigningKey::from_pem(ED25519).unwrap(),
    ];
    let publics = [RSA_PUBLIC, P256_PUBLIC, ED25519_PUBLIC].map(|pem| VerifyingKey::from_pem(pem).unwrap());
    let claims = Claims { exp: Some(Seconds::new(NOW + 1)), ..Claims::default() };
    for (index, (signer, algorithm)) in signers.iter().zip(Algorithm::ALL).enumerate() {
        assert_eq!(signer.algorithm(), algorithm);
        let token = signer.sign(&claims, None).unwrap();
        let verified = |keys: &[VerifyingKey]| verify(&token, keys, &ClaimRules::default(), NOW_MS).is_ok();
        assert_eq!(verified(&secret_key()), index < 3, "{algorithm} with the secret");
        for (number, keys) in publics.iter().enumerate() {
            assert_eq!(verified(keys), index == number + 3, "{algorithm} with public key {number}");
        }
        let narrowed =
            secret_key().into_iter().map(|key| key.only_for(&[Algorithm::Hs512])).collect::<Vec<_>>();
        assert_eq!(verified(&narrowed), algorithm == Algorithm::Hs512);
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    // An attacker who has the public key, which is not secret, signs with it as if it were a secret.
    for public in [RSA_PUBLIC, P256_PUBLIC, ED25519_PUBLIC] {
        let forger = SigningKey::secret(Algorithm::Hs256, public).unwrap();
        let claims = Claims { exp: Some(Seconds::new(NOW + 1)), ..Claims::default() };
        let forged = forger.sign(&claims, None).unwrap();
        let keys = VerifyingKey::from_pem(public).unwrap();
        assert_eq!(verify(&forged, &keys, &ClaimRules::default(), NOW_MS), Err(TokenError::Algorithm));
    }
}

#[test]
fn what_is_not_signed_or_signed_with_another_key_is_refused() {
    let claims = json!({"sub": "ann", "exp": NOW + 60}).to_string();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":"PS256"}"#,
        r#"{"alg":"RS256"}"#,
    ] {
        let message = format!("{}.{}", encoded(header), encoded(&claims));
        assert_eq!(judge(&format!("{message}.")), Err(TokenError::Algorithm), "{header}");
        assert_eq!(judge(&signed(header, &claims)), Err(TokenError::Algorithm), "{header}");
    }
    let other = SigningKey::secret(Algorithm::Hs256, &[7; 32]).unwrap();
    let foreign = other.sign(&Claims::default(), None).unwrap();
    assert_eq!(judge(&foreign), Err(TokenError::Signature));
    let good = of_claims(&json!({"sub": "ann", "exp": NOW + 60}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let other_claims = encoded(&json!({"sub": "bob", "exp": NOW + 60}).to_string());
    for token in [
        format!("{header}.{other_claims}.{signature}"),
        format!("{head}."),
        format!("{head}.{}", &signature[..signature.len() - 4]),
        format!("{head}.{signature}AAAA"),
    ] {
        assert_eq!(judge(&token), Err(TokenError::Signature), "{token}");
    }
}

#[test]
fn a_key_id_must_be_known_where_keys_have_names() {
    let keys = vec![VerifyingKey::secret(SECRET).unwrap().named("new")];
    let claims = json!({"exp": NOW + 60}).to_string();
    let check = |header: &str, expected| {
        let outcome = verify(&signed(header, &claims), &keys, &ClaimRules::default(), NOW_MS);
        assert_eq!(outcome.err(), expected, "{header}");
    };
    check(r#"{"alg":"HS256","kid":"new"}"#, None);
    check(r#"{"alg":"HS256"}"#, None);
    check(r#"{"alg":"HS256","kid":"old"}"#, Some(TokenError::UnknownKey));
    check(r#"{"alg":"HS256","kid":"../../new"}"#, Some(TokenError::UnknownKey));
    check(r#"{"alg":"HS256","kid":7}"#, Some(TokenError::Malformed));
}

#[test]
fn malformed_tokens_are_refused() {
    let claims = json!({"exp": NOW + 60}).to_string();
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        "e30.e30.".to_owned(),
        "not a token".to_owned(),
        signed("[]", &claims),
        signed(r#"["HS256"]"#, &claims),
        signed(r#"{"alg":"HS256"}"#, "[\"ann\"]"),
        signed("{}", &claims),
        signed(r#"{"alg":256}"#, &claims),
        signed(r#"{"alg":"HS256","alg":"none"}"#, &claims),
        signed("{\"alg\":\"HS256\"}garbage", &claims),
        signed(r#"{"alg":"HS256"}"#, "no json"),
        signed(r#"{"alg":"HS256"}"#, ""),
        format!("{}=", of_claims(&json!({"exp": NOW + 60}))),
    ] {
        assert_eq!(judge(&token), Err(TokenError::Malformed), "{token}");
    }
    for crit in [r#"["b64"]"#, "null", "[]", "false"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_eq!(judge(&signed(&header, &claims)), Err(TokenError::Critical), "{crit}");
    }
    let long = of_claims(&json!({"exp": NOW + 60, "sub": "a".repeat(TOKEN_BYTES_MAX)}));
    assert_eq!(judge(&long), Err(TokenError::TooLong));
}

#[test]
fn times_are_believed_only_as_numbers_that_make_sense() {
    let rules = ClaimRules::default();
    for exp in [NOW, NOW - 1, 0] {
        assert_eq!(judge(&of_claims(&json!({"exp": exp}))), Err(TokenError::Expired), "{exp}");
    }
    for wrong in
        [json!("1900000000"), json!(true), json!([NOW + 60]), json!({"n": 1}), json!(-1), json!(1e300)]
    {
        check_claim_refused(&json!({"exp": wrong}), &rules, "");
        check_claim_refused(&json!({"exp": NOW + 60, "nbf": wrong}), &rules, "");
    }
    check_claim_refused(&json!({"exp": NOW + 99, "nbf": NOW + 31}), &rules, "not valid yet");
    check_claim_refused(&json!({"sub": "ann"}), &rules, "'exp'");
    check_claim_refused(&json!({"sub": "ann", "exp": null}), &rules, "'exp'");
    let endless = ClaimRules { allow_endless: true, ..rules };
    let identity = verify(&of_claims(&json!({"sub": "ann"})), &secret_key(), &endless, NOW_MS).unwrap();
    assert_eq!(identity.expires_ms(), None);
}

#[test]
fn a_token_for_others_or_from_others_is_refused() {
    let exp = NOW + 60;
    let rules = ClaimRules {
        audiences: vec!["fanwire".to_owned(), "chat".to_owned()],
        issuer: Some("https://id.example".to_owned()),
        allow_endless: false,
    };
    let good = json!({"exp": exp, "iss": "https://id.example", "aud": ["shop", "chat"]});
    assert!(verify(&of_claims(&good), &secret_key(), &rules, NOW_MS).is_ok());
    for aud in [json!("shop"), json!([]), json!(["fan", "wire"]), Value::Null, json!("Fanwire")] {
        check_claim_refused(&json!({"exp": exp, "iss": "https://id.example", "aud": aud}), &rules, "'aud'");
    }
    for iss in [json!("https://id.example/"), json!(""), Value::Null] {
        check_claim_refused(&json!({"exp": exp, "iss": iss, "aud": "chat"}), &rules, "'iss'");
    }
    check_claim_refused(&json!({"exp": exp, "aud": "fanwire"}), &ClaimRules::default(), "'aud'");
    check_claim_refused(&json!({"exp": exp, "aud": 5}), &rules, "");
    check_claim_refused(&json!({"exp": exp, "iss": ["https://id.example"]}), &rules, "");
}

#[test]
fn grants_and_ids_of_the_wrong_form_are_refused() {
    let rules = ClaimRules::default();
    let check = |claims: Value, mention: &str| {
        let mut all = json!({"exp": NOW + 60});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        check_claim_refused(&all, &rules, mention);
    };
    check(json!({"sub": ""}), "'sub'");
    check(json!({"sub": "a".repeat(256)}), "'sub'");
    check(json!({"sub": 7}), "");
    check(json!({"fanwire": {"publish": ["a..b"]}}), "'a..b'");
    check(json!({"fanwire": {"subscribe": ["a b"]}}), "'a b'");
    check(json!({"fanwire": {"subscribe": "a"}}), "");
    check(json!({"fanwire": true}), "'fanwire' must be an object");
    check(json!({"fanwire": [["a"], ["b"]]}), "'fanwire' must be an object");
    check(json!({"fanwire": {"info": "x".repeat(5000)}}), "'info'");
}

#[test]
fn keys_that_will_not_do_are_refused_when_they_are_read() {
    assert_eq!(VerifyingKey::secret(&[0; 31]).unwrap_err(), KeyError::ShortSecret(31));
    assert_eq!(VerifyingKey::from_pem(b"").unwrap_err(), KeyError::NoKey);
    assert_eq!(VerifyingKey::from_pem(RSA).unwrap_err(), KeyError::NoKey, "a private key is no public one");
    assert_eq!(VerifyingKey::from_pem(P384_PUBLIC).unwrap_err(), KeyError::OtherKind);
    let both = [RSA_PUBLIC, ED25519_PUBLIC].concat();
    assert_eq!(VerifyingKey::from_pem(&both).unwrap().len(), 2, "two keys while they are being changed");
    assert!(SigningKey::from_pem(RSA_PUBLIC).is_err());
    assert!(SigningKey::secret(Algorithm::Es256, SECRET).is_err());
    assert!(SigningKey::secret(Algorithm::Hs256, b"short").is_err());
}

#[test]
fn rsa_keys_of_a_key_set_check_signatures() {
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use rustls_pki_types::pem::PemObject;
    let der = PrivatePkcs8KeyDer::from_pem_slice(RSA).unwrap();
    let pair = ring::rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let ring::rsa::PublicKeyComponents { n, e } =
        ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
    // Some write a leading zero, as DER does.
    let number = |value: &[u8]| URL_SAFE_NO_PAD.encode([&[0], value].concat());
    let key = json!({"kty": "RSA", "n": number(&n), "e": number(&e)});
    let keys = parse_key_set(json!({"keys": [key]}).to_string().as_bytes(), &[]).unwrap();
    let claims = Claims { exp: Some(Seconds::new(NOW + 1)), ..Claims::default() };
    let token = SigningKey::from_pem(RSA).unwrap().sign(&claims, Some("any")).unwrap();
    assert!(verify(&token, &keys, &ClaimRules::default(), NOW_MS).is_ok());
    let damaged = format!("{}AAAA", &token[..token.len() - 4]);
    assert_eq!(verify(&damaged, &keys, &ClaimRules::default(), NOW_MS), Err(TokenError::Signature));
}

/// Changes a few characters of a text, anywhere, to others that may mean something.
fn damaged(text: &str, random: &mut fastrand::Rng) -> String {
    const LETTERS: &[u8] = b".-_=AZaz09{}[]\",:e+ \x00\xff";
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..bytes.len().max(1));
        if bytes.is_empty() {
            break;
        }
        match random.u8(..4) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, LETTERS[random.usize(..LETTERS.len())]),
            2 => bytes[at] = LETTERS[random.usize(..LETTERS.len())],
            _ => bytes.truncate(at.max(1)),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn no_damage_makes_a_token_good_or_the_broker_panic() {
    let seed = std::env::var("FANWIRE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let good = of_claims(&json!({"sub": "ann", "exp": NOW + 60, "fanwire": {"publish": ["a"]}}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let claims =
        json!({"sub": "ann", "exp": NOW + 60, "nbf": 1, "fanwire": {"publish": ["a"], "info": {"a": 1}}});
    for _ in 0..20_000 {
        let token = damaged(&good, &mut random);
        // What was signed must be there letter by letter, whatever became of the signature's spelling.
        if judge(&token).is_ok() {
            assert_eq!(token.rsplit_once('.').map(|(signed, _)| signed), Some(signed), "seed {seed}");
        }
        // Damage inside, well signed: it may be good or not, but nothing breaks.
        let (header, claims) = (damaged(header, &mut random), damaged(&claims.to_string(), &mut random));
        let _any = judge(&self::signed(&header, &claims));
        let _any = parse_key_set(claims.as_bytes(), &[]);
    }
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed"}]}"#;
    for _ in 0..20_000 {
        let _any = parse_key_set(damaged(set, &mut random).as_bytes(), &[]);
        let _any =
            VerifyingKey::from_pem(damaged(&String::from_utf8_lossy(P256_PUBLIC), &mut random).as_bytes());
    }
}
