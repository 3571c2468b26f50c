use super::{KEY_LEN, Keys, OVERHEAD};
use crate::Config;

fn keys(first: u8, others: &[u8]) -> Keys {
    let others: Vec<_> = others.iter().map(|byte| [*byte; KEY_LEN]).collect();
    Keys::new(&[first; KEY_LEN], &others).unwrap()
}

const CONTENT: &[u8] = b"content";

#[track_caller]
fn check(sealed: &[u8], keys: &Keys, context: &[u8], opens: bool) {
    let content = opens.then(|| CONTENT.to_vec());
    assert_eq!(keys.open(context, sealed), content);
}

#[test]
fn what_was_sealed_opens_with_the_same_key_and_context() {
    let sealed = keys(1, &[]).seal(b"a", CONTENT.to_vec()).unwrap();
    assert_eq!(sealed.len(), CONTENT.len() + OVERHEAD);
    check(&sealed, &keys(1, &[]), b"a", true);
    check(&sealed, &keys(1, &[]), b"b", false);
    check(&sealed, &keys(2, &[]), b"a", false);
}

#[test]
fn keys_are_exchanged_with_an_overlap() {
    let old = keys(1, &[]).seal(b"a", CONTENT.to_vec()).unwrap();
    let both = keys(2, &[1]);
    let new = both.seal(b"a", CONTENT.to_vec()).unwrap();
    check(&old, &both, b"a", true);
    check(&new, &both, b"a", true);
    check(&new, &keys(1, &[2]), b"a", true);
    check(&old, &keys(2, &[]), b"a", false);
    check(&new, &keys(2, &[]), b"a", true);
}

#[test]
fn no_bit_of_a_box_can_be_changed() {
    let keys = keys(1, &[]);
    let sealed = keys.seal(b"a", CONTENT.to_vec()).unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut forged = sealed.clone();
            forged[at] ^= 1 << bit;
            check(&forged, &keys, b"a", false);
        }
        check(&sealed[..at], &keys, b"a", false);
    }
}

#[test]
fn two_seals_differ() {
    let keys = keys(1, &[]);
    let seal = || keys.seal(b"a", CONTENT.to_vec()).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn without_a_file_every_process_has_a_key_of_its_own() {
    let [one, other] = [(); 2].map(|()| Keys::load(&Config::default()).unwrap());
    let sealed = one.seal(b"a", CONTENT.to_vec()).unwrap();
    check(&sealed, &one, b"a", true);
    check(&sealed, &other, b"a", false);
}
