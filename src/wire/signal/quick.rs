//! A heartbeat as most clients write it, `{"epoch":1790000000000,"seq":5}`, read by its bytes.
//!
//! Whatever else a payload says, or however it is written otherwise, is left to the reading that is right about everything. So this
//! one decides nothing but how fast it is.

use crate::model::Beat;
use crate::model::signal::SEQ_MAX;

/// Most digits of a number that it reads: no greater one is in a signal.
const DIGITS_MAX: usize = 16;

/// The beat that a JSON payload is; `None` if there is anything unusual about it.
pub(super) fn beat(payload: &[u8]) -> Option<Beat> {
    let mut rest = payload.strip_prefix(b"{")?;
    let mut beat = Beat::default();
    loop {
        let field = if let Some(behind) = rest.strip_prefix(b"\"seq\":") {
            rest = behind;
            &mut beat.seq
        } else {
            rest = rest.strip_prefix(b"\"epoch\":")?;
            &mut beat.epoch
        };
        *field = Some(number(&mut rest)?);
        match rest {
            [b'}'] => return Some(beat),
            [b',', behind @ ..] => rest = behind.strip_prefix(b" ").unwrap_or(behind),
            _ => return None,
        }
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let text = rest.strip_prefix(b" ").unwrap_or(rest);
    let digits = text.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = text.split_at(digits);
    let is_number = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.len() <= DIGITS_MAX;
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    *rest = behind;
    (is_number && value <= SEQ_MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Decoded, Encoding, PAYLOAD_BYTES_MAX, decode, draft};
    use super::*;
    use crate::model::{Rejection, Signal};

    #[test]
    fn what_most_clients_write_is_read_the_quick_way() {
        let of = |epoch, seq| Some(Beat { epoch, seq });
        assert_eq!(beat(br#"{"epoch":1790000000000,"seq":5}"#), of(Some(1_790_000_000_000), Some(5)));
        assert_eq!(beat(br#"{"seq": 0, "epoch": 9007199254740991}"#), of(Some(SEQ_MAX), Some(0)));
        assert_eq!(beat(br#"{"seq":7}"#), of(None, Some(7)));
        for other in
            [r"{}", r#"{"seq":9007199254740992}"#, r#"{"seq":01}"#, r#"{"seq":5.0}"#, r#"{"seq":-1}"#, r#"{"seq":5}x"#]
        {
            assert_eq!(beat(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_is_too_large_is_so_whatever_it_says() {
        let payload = format!("{{{}\"seq\":1}}", "\"seq\":1,".repeat(PAYLOAD_BYTES_MAX / 8));
        assert!(matches!(decode(payload.as_bytes(), None), Err(Rejection::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn the_quick_way_changes_nothing(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{", "}", ",", ":", " ", "\"epoch\":", "\"seq\":", "\"seq\"", "0", "7", "12", "9007199254740991", "99999999999999999", "-",
                ".5", "null", "\"", "1e3",
            ]), 0..9),
            is_whole in any::<bool>(),
        ) {
            let text = if is_whole { format!("{{\"epoch\":{}}}", pieces.concat()) } else { pieces.concat() };
            if let Some(beat) = beat(text.as_bytes()) {
                let careful = draft(text.as_bytes(), Encoding::Json, false).unwrap().finish().unwrap();
                prop_assert_eq!(careful, Decoded { signal: Signal::from(beat), ..Decoded::default() });
            }
        }
    }
}
