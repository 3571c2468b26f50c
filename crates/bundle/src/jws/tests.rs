use data_encoding::BASE64URL_NOPAD;

use super::{Algorithm, SigningKey, Token, VerifyingKey, token};
use crate::fixture::{SHARED, keys, pem};

const ALL: [Algorithm; 3] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256];

#[test]
fn a_token_is_good_for_its_key_alone() {
    for algorithm in ALL {
        let (signing, verifying) = keys(algorithm);
        assert_eq!(verifying.algorithm(), algorithm);
        let made = token(b"{}", &signing, Some("k")).unwrap();
        let parsed = Token::parse(&made).unwrap();
        assert_eq!((parsed.key_id(), parsed.payload.as_slice()), (Some("k"), &b"{}"[..]));
        parsed.verify(&verifying).unwrap();
        for other in ALL {
            let key = match other {
                Algorithm::HS256 => VerifyingKey::shared(&SHARED.replace('0', "1")).unwrap(),
                Algorithm::RS256 | Algorithm::ES256 => keys(other).1,
            };
            parsed.verify(&key).unwrap_err();
        }
    }
}

#[test]
fn a_token_is_what_others_make() {
    let (signing, _) = keys(Algorithm::HS256);
    let made = token(b"{}", &signing, None).unwrap();
    assert!(made.starts_with("eyJhbGciOiJIUzI1NiJ9.e30."), "{made}");
    // Computed with OpenSSL.
    let signature = "x68P15GCa1HmSDdw4rVLsw6ZdUMyLZHfITcI3kWE3Eg";
    assert_eq!(made.rsplit('.').next().unwrap(), signature);
}

#[test]
fn a_changed_token_is_refused() {
    let (signing, verifying) = keys(Algorithm::ES256);
    let made = token(b"{\"a\":1}", &signing, None).unwrap();
    let [header, payload, signature] = made.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let refused = |header: &str, payload: &str, signature: &str| {
        let text = format!("{header}.{payload}.{signature}");
        Token::parse(&text).is_none_or(|token| token.verify(&verifying).is_err())
    };
    assert!(!refused(header, payload, signature));
    assert!(refused(header, &encode("{\"a\":2}"), signature));
    assert!(refused(header, payload, ""));
    assert!(refused(&encode("{\"alg\":\"none\"}"), payload, ""));
    assert!(refused(&encode("{\"alg\":\"none\"}"), payload, signature));
    assert!(refused(&encode("{\"alg\":\"ES256\",\"crit\":[\"b64\"]}"), payload, signature));
    assert!(refused("", payload, signature));
    for text in ["", ".", "..", "a.b", "a.b.c", "e30.e30.e30=", "e30.e30.e30.e30"] {
        let parsed = Token::parse(text);
        assert!(parsed.is_none_or(|token| token.verify(&verifying).is_err()), "{text}");
    }
}

/// A public key is no secret: taken as a shared one, anybody could sign.
#[test]
fn a_public_key_is_never_a_shared_one() {
    let (_, public) = pem(Algorithm::RS256);
    assert!(VerifyingKey::shared(&public).is_err());
    assert!(SigningKey::new(Algorithm::HS256, &public).is_err());
    let verifying = VerifyingKey::public(&public).unwrap();
    // What an attacker would send: HS256 under the bytes of the public key.
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_bytes());
    for alg in ["HS256", "RS256"] {
        let encode = |part: &[u8]| BASE64URL_NOPAD.encode(part);
        let signed =
            format!("{}.{}", encode(format!("{{\"alg\":\"{alg}\"}}").as_bytes()), encode(b"{}"));
        let forged = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        let forged = format!("{signed}.{}", encode(forged.as_ref()));
        Token::parse(&forged).unwrap().verify(&verifying).unwrap_err();
    }
}

#[test]
fn keys_that_do_not_fit_are_refused() {
    assert!(VerifyingKey::shared("short").is_err());
    for text in ["", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        assert!(VerifyingKey::public(text).is_err(), "{text}");
        assert!(SigningKey::new(Algorithm::ES256, text).is_err(), "{text}");
    }
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    assert!(VerifyingKey::public(&p384.public_key_pem()).is_err());
    assert!(SigningKey::new(Algorithm::ES256, &p384.serialize_pem()).is_err());
    let (private, public) = pem(Algorithm::ES256);
    assert!(VerifyingKey::public(&private).is_err());
    assert!(SigningKey::new(Algorithm::ES256, &public).is_err());
    assert!(SigningKey::new(Algorithm::RS256, &private).is_err());
    assert!(SigningKey::new(Algorithm::ES256, &pem(Algorithm::RS256).0).is_err());
}
