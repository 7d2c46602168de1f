//! Which digits are a card number.

use std::ops::RangeInclusive;

/// The shortest and the longest card number (ISO/IEC 7812).
pub(super) const CARD_DIGITS: RangeInclusive<usize> = 13..=19;

/// How cards are printed: the lengths of the groups.
const PRINTED: [&[usize]; 4] = [&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3]];

/// Luhn's check (ISO/IEC 7812-1, annex B). A row of one and the same digit is no card.
pub(super) fn passes_luhn(digits: &[u8]) -> bool {
    if !CARD_DIGITS.contains(&digits.len()) || digits.iter().all(|digit| *digit == digits[0]) {
        return false;
    }
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| u32::from(if place % 2 == 0 { digit } else { doubled(digit) }))
        .sum();
    sum.is_multiple_of(10)
}

/// Whether an issuer gives out numbers that begin like this, in this length. It must hold besides Luhn's check
/// where digits are not written as cards are: telephone numbers and orders stand side by side, too.
pub(super) fn has_an_issuer(digits: &[u8]) -> bool {
    let prefix = |length: usize| {
        digits
            .iter()
            .take(length)
            .fold(0_u32, |number, &digit| number * 10 + u32::from(digit))
    };
    match (prefix(2), prefix(4)) {
        // American Express.
        (34 | 37, _) => digits.len() == 15,
        // Diners Club.
        (36 | 38 | 39, _) | (_, 3000..=3059 | 3095) => matches!(digits.len(), 14 | 16 | 19),
        // JCB, Discover, UnionPay.
        (60 | 62 | 64 | 65, _) | (_, 3528..=3589) => (16..=19).contains(&digits.len()),
        // Visa.
        (40..=49, _) => matches!(digits.len(), 13 | 16 | 19),
        // Mastercard.
        (51..=55, _) | (_, 2221..=2720) => digits.len() == 16,
        // Maestro and others; shorter ones are no longer given out.
        (50 | 56..=69 | 81, _) => matches!(digits.len(), 16 | 18 | 19),
        _ => false,
    }
}

/// Whether groups of these lengths are written as on a card.
pub(super) fn is_printed_so(lengths: &[usize]) -> bool {
    lengths.len() == 1 || PRINTED.contains(&lengths)
}

/// Whether a row of digits without a gap holds a card number anywhere.
pub(super) fn holds_a_card(digits: &[u8]) -> bool {
    passes_luhn(digits)
        || (0..digits.len()).any(|from| {
            CARD_DIGITS
                .filter_map(|length| digits.get(from..from + length))
                .any(|window| has_an_issuer(window) && passes_luhn(window))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that issuers and payment processors publish for tests.
    #[test]
    fn published_test_numbers_are_cards() {
        for card in [
            "4111111111111111",
            "4222222222222",
            "4012888888881881",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "371449635398431",
            "30569309025904",
            "38520000023237",
            "6011111111111117",
            "3530111333300000",
            "6240008631401148",
            "6759649826438453",
        ] {
            let digits: Vec<u8> = card.bytes().map(|byte| byte - b'0').collect();
            assert!(passes_luhn(&digits) && has_an_issuer(&digits), "{card}");
            let mut wrong = digits.clone();
            wrong[5] = (wrong[5] + 1) % 10;
            assert!(!passes_luhn(&wrong), "{card}");
        }
    }

    #[test]
    fn a_row_of_one_digit_is_no_card() {
        assert!(!passes_luhn(&[0; 16]));
        assert!(!passes_luhn(&[]));
    }
}
