//! Searches the numbers of some texts for what must not be kept.
//!
//! Numbers with nothing but punctuation and fillers between them are a *run*. A card number is some whole numbers of
//! a run; telephone numbers are one number each, so that two of them do not give a card number by chance.

use std::ops::Range;

use super::Redaction;
use super::card::{CARD_DIGITS, has_an_issuer, holds_a_card, is_printed_so, passes_luhn};
use super::numbers::{Behind, Group, Keyword, Numbers};

/// What stands in the place of what was removed.
pub(super) const CARD_REMOVED: &str = "[card number removed]";
pub(super) const DETAILS_REMOVED: &str = "[card details removed]";
pub(super) const BANK_REMOVED: &str = "[bank account removed]";
pub(super) const SOCIAL_SECURITY_REMOVED: &str = "[social security number removed]";

/// So many words before and behind a card number stand its expiry and its security code.
const BEFORE_A_CARD: usize = 15;
const BEHIND_A_CARD: usize = 40;
/// So many words behind its name stands a security code or the number of an account.
const BEHIND_A_KEYWORD: usize = 10;
/// So near to each other stand what is said of a bank.
const NEAR_A_BANK: usize = 30;

/// Some groups, and what is written in their place.
pub(super) type Finding = (Range<usize>, &'static str);

/// What must not be kept, from the left.
pub(super) fn search(numbers: &Numbers, redaction: Redaction) -> Vec<Finding> {
    let units = units(numbers);
    let mut search = Search {
        numbers,
        removed: vec![None; units.len()],
        units,
    };
    search.cards();
    if redaction.social_security_numbers {
        search.social_security_numbers();
    }
    if redaction.bank_accounts {
        search.bank_accounts();
    }
    search.card_details();
    search.findings()
}

/// The digits of every telephone number, with the country code.
pub(super) fn telephone_numbers(numbers: &Numbers) -> Vec<String> {
    let telephones = units(numbers)
        .into_iter()
        .filter(|unit| unit.kind == Kind::Telephone);
    telephones
        .map(|unit| {
            let groups = &numbers.groups[unit.groups];
            let digits = &numbers.digits[groups[0].digits.start..groups[groups.len() - 1].digits.end];
            let has_country = groups[0].behind == Behind::Plus || digits.len() != 10;
            let country = if has_country { "" } else { "1" };
            country
                .chars()
                .chain(digits.iter().map(|digit| char::from(b'0' + digit)))
                .collect()
        })
        .collect()
}

/// What is not taken apart.
struct Unit {
    groups: Range<usize>,
    kind: Kind,
    /// Whether it belongs to the run of the one before.
    is_joined: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Telephone,
    /// A date or an amount of money: never a part of anything.
    Other,
}

fn units(numbers: &Numbers) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut from = 0;
    while from < numbers.groups.len() {
        let rest = &numbers.groups[from..];
        let (length, kind) = telephone(rest, numbers)
            .map(|length| (length, Kind::Telephone))
            .or_else(|| is_date(rest, numbers).then_some((3, Kind::Other)))
            .unwrap_or((
                1,
                if rest[0].is_money {
                    Kind::Other
                } else {
                    Kind::Number
                },
            ));
        units.push(Unit {
            groups: from..from + length,
            kind,
            is_joined: rest[0].is_joined,
        });
        from += length;
    }
    units
}

/// Whether the first of these groups stand in one text, each close behind the other.
fn are_written_together(groups: &[Group]) -> bool {
    groups.windows(2).all(|pair| {
        let gap = pair[1].span.start.saturating_sub(pair[0].span.end);
        pair[1].is_joined && pair[0].text == pair[1].text && (1..=2).contains(&gap)
    })
}

/// How many digits a number with its country code has. ITU-T E.164 allows 15, which hardly anybody has, but a card may.
const INTERNATIONAL: Range<usize> = 8..13;

/// How many groups at the start are a telephone number: of North America, or with its country code.
fn telephone(groups: &[Group], numbers: &Numbers) -> Option<usize> {
    let is_north_american = |digits: &[u8]| {
        let ten = digits.strip_prefix(&[1]).filter(|rest| rest.len() == 10);
        let ten = ten.unwrap_or(digits);
        // Area and exchange begin with 2 to 9 and do not end with 11 (the North American Numbering Plan).
        ten.len() == 10
            && [&ten[..3], &ten[3..6]]
                .iter()
                .all(|part| part[0] > 1 && part[1..] != [1, 1])
    };
    for lengths in [&[10][..], &[11], &[3, 3, 4], &[3, 7], &[1, 3, 3, 4], &[1, 10]] {
        let Some(groups) = groups.get(..lengths.len()) else {
            continue;
        };
        let digits = &numbers.digits[groups[0].digits.start..groups[groups.len() - 1].digits.end];
        if groups.iter().map(Group::len).eq(lengths.iter().copied())
            && are_written_together(groups)
            && is_north_american(digits)
        {
            return Some(lengths.len());
        }
    }
    if groups[0].behind != Behind::Plus {
        return None;
    }
    let mut found = None;
    for length in 1..=groups.len().min(6) {
        let together = &groups[..length];
        let digits: usize = together.iter().map(Group::len).sum();
        if digits >= INTERNATIONAL.end || !are_written_together(together) {
            break;
        }
        if INTERNATIONAL.contains(&digits) {
            found = Some(length);
        }
    }
    found
}

/// Whether the first three groups are a date: `11/20/2026`, `2026-11-20`.
fn is_date(groups: &[Group], numbers: &Numbers) -> bool {
    let Some(groups) = groups.get(..3) else {
        return false;
    };
    let value = |group: &Group| {
        numbers.digits[group.digits.clone()]
            .iter()
            .fold(0_u32, |value, digit| {
                value.saturating_mul(10).saturating_add((*digit).into())
            })
    };
    let lengths = [groups[0].len(), groups[1].len(), groups[2].len()];
    let (year, others) = match lengths {
        [4, 1..=2, 1..=2] => (value(&groups[0]), [value(&groups[1]), value(&groups[2])]),
        [1..=2, 1..=2, 4] => (value(&groups[2]), [value(&groups[0]), value(&groups[1])]),
        _ => return false,
    };
    are_written_together(groups)
        && (1900..2100).contains(&year)
        && others.iter().all(|part| (1..=31).contains(part))
        && others.iter().any(|part| *part <= 12)
}

struct Search<'a> {
    numbers: &'a Numbers,
    units: Vec<Unit>,
    /// What is written in the place of each unit.
    removed: Vec<Option<&'static str>>,
}

impl Search<'_> {
    fn digits(&self, units: &Range<usize>) -> &[u8] {
        let groups = &self.numbers.groups;
        let (first, last) = (
            self.units[units.start].groups.start,
            self.units[units.end - 1].groups.end - 1,
        );
        &self.numbers.digits[groups[first].digits.start..groups[last].digits.end]
    }

    /// The words that units stand among, first and last.
    fn words(&self, units: &Range<usize>) -> (usize, usize) {
        let groups = &self.numbers.groups;
        let (first, last) = (
            self.units[units.start].groups.start,
            self.units[units.end - 1].groups.end - 1,
        );
        (groups[first].word, groups[last].word)
    }

    fn remove(&mut self, units: Range<usize>, label: &'static str) {
        self.removed[units].fill(Some(label));
    }

    /// Card numbers: from the left, the longest first.
    fn cards(&mut self) {
        let mut from = 0;
        while from < self.units.len() {
            if let Some(end) = self.card_from(from) {
                self.remove(from..end, CARD_REMOVED);
                from = end;
            } else {
                from += 1;
            }
        }
    }

    /// Where the card number ends that begins with this unit.
    fn card_from(&self, from: usize) -> Option<usize> {
        let mut lengths = Vec::new();
        let mut found = None;
        for (at, unit) in self.units.iter().enumerate().skip(from) {
            if unit.kind == Kind::Other || (at > from && !unit.is_joined) {
                break;
            }
            let digits = self.digits(&(from..at + 1));
            lengths.push(self.digits(&(at..at + 1)).len());
            let is_one = match lengths[..] {
                [length] if length >= *CARD_DIGITS.start() => holds_a_card(digits),
                // What follows stands too close to the card number.
                [4, 4, 4, last] if last > 4 => passes_luhn(&digits[..16]),
                _ => passes_luhn(digits) && (is_printed_so(&lengths) || has_an_issuer(digits)),
            };
            if is_one {
                found = Some(at + 1);
            }
            if digits.len() >= *CARD_DIGITS.end() {
                break;
            }
        }
        found
    }

    /// Rows of units that belong together and were not removed yet: what is left of the runs.
    fn rest(&self) -> Vec<Range<usize>> {
        let mut rows: Vec<Range<usize>> = Vec::new();
        for (at, unit) in self.units.iter().enumerate() {
            if self.removed[at].is_some() || unit.kind != Kind::Number {
                continue;
            }
            match rows.last_mut() {
                Some(row) if row.end == at && unit.is_joined => row.end = at + 1,
                _ => rows.push(at..at + 1),
            }
        }
        rows
    }

    /// What looks like expiry or security code near a card number, and security codes by their name.
    fn card_details(&mut self) {
        let found = (0..self.units.len()).filter(|&at| self.removed[at] == Some(CARD_REMOVED));
        let found = found.map(|at| self.words(&(at..at + 1)).0);
        let removed = self
            .numbers
            .removed
            .iter()
            .filter(|mark| mark.what == CARD_REMOVED);
        let mut cards: Vec<usize> = found.chain(removed.map(|mark| mark.words)).collect();
        cards.sort_unstable();
        let rest = self.rest();
        let mut near = 0;
        for row in &rest {
            let (first, last) = self.words(row);
            while cards.get(near).is_some_and(|card| card + BEHIND_A_CARD < first) {
                near += 1;
            }
            let is_near = cards.get(near).is_some_and(|card| *card <= last + BEFORE_A_CARD);
            if is_near && self.is_card_detail(row) {
                self.remove(row.clone(), DETAILS_REMOVED);
            }
        }
        for row in self.named(&rest, Keyword::SecurityCode, |digits| {
            matches!(digits.len(), 3 | 4)
        }) {
            self.remove(row, DETAILS_REMOVED);
        }
    }

    /// Month and year, three or four digits of a security code, or both.
    fn is_card_detail(&self, row: &Range<usize>) -> bool {
        let digits = self.digits(row);
        let group = &self.numbers.groups[self.units[row.start].groups.start];
        let begins_with_month = match digits {
            [0, 1..=9, ..] | [1, 0..=2, ..] => true,
            [1..=9, ..] => group.len() == 1,
            _ => false,
        };
        let is_one_number = row.len() == 1;
        match digits.len() {
            2 => group.behind == Behind::Month,
            3 | 4 => true,
            // A postal code is one number.
            5..=10 => begins_with_month && !is_one_number || self.ends_with_expiry(row),
            _ => false,
        }
    }

    /// Whether the row is a security code, then month and year.
    fn ends_with_expiry(&self, row: &Range<usize>) -> bool {
        let digits = self.digits(row);
        let expiry = &digits[digits.len() - 4..];
        row.len() > 1 && matches!(digits.len(), 7 | 8) && matches!(expiry, [0, 1..=9, ..] | [1, 0..=2, ..])
    }

    /// The first row behind each keyword that is what the keyword says.
    fn named(&self, rows: &[Range<usize>], keyword: Keyword, is_it: fn(&[u8]) -> bool) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let first = |row: &Range<usize>| self.units[row.start].groups.start;
        for mark in self.numbers.keywords.iter().filter(|mark| mark.what == keyword) {
            // What was removed there was it.
            let removed = &self.numbers.removed;
            let barrier = removed.get(removed.partition_point(|removed| removed.groups < mark.groups));
            let barrier = barrier.map_or(usize::MAX, |removed| removed.groups);
            let from = rows.partition_point(|row| first(row) < mark.groups);
            let mut behind = rows[from..]
                .iter()
                .take_while(|row| first(row) < barrier && self.words(row).0 <= mark.words + BEHIND_A_KEYWORD);
            found.extend(behind.find(|row| is_it(self.digits(row))).cloned());
        }
        found
    }

    fn social_security_numbers(&mut self) {
        let rest = self.rest();
        // Area 000, 666 and 900 and above were never given out, nor group 00, nor number 0000.
        let is_valid = |digits: &[u8]| {
            digits.len() == 9
                && !matches!(digits[..3], [0, 0, 0] | [6, 6, 6] | [9, ..])
                && digits[3..5] != [0, 0]
                && digits[5..] != [0, 0, 0, 0]
        };
        for row in &rest {
            let lengths = row.clone().map(|unit| self.digits(&(unit..unit + 1)).len());
            if lengths.eq([3, 2, 4]) && is_valid(self.digits(row)) {
                self.remove(row.clone(), SOCIAL_SECURITY_REMOVED);
            }
        }
        for row in self.named(&rest, Keyword::SocialSecurity, is_valid) {
            self.remove(row, SOCIAL_SECURITY_REMOVED);
        }
    }

    /// Routing numbers near a word of banks, and account numbers that are named so near them.
    fn bank_accounts(&mut self) {
        let banks = self
            .numbers
            .keywords
            .iter()
            .filter(|mark| mark.what == Keyword::Bank);
        let banks: Vec<usize> = banks.map(|mark| mark.words).collect();
        let is_near_a_bank = |words: (usize, usize)| {
            let from = banks.partition_point(|&word| word + NEAR_A_BANK < words.0);
            banks.get(from).is_some_and(|word| *word <= words.1 + NEAR_A_BANK)
        };
        let rest = self.rest();
        let rows = rest.iter().filter(|row| is_near_a_bank(self.words(row)));
        let rows: Vec<Range<usize>> = rows.cloned().collect();
        for row in &rows {
            let has_routing_number = is_routing_number(self.digits(row))
                || row
                    .clone()
                    .any(|unit| is_routing_number(self.digits(&(unit..unit + 1))));
            if has_routing_number {
                self.remove(row.clone(), BANK_REMOVED);
            }
        }
        let is_account = |digits: &[u8]| (5..=17).contains(&digits.len());
        for row in self.named(&rows, Keyword::Account, is_account) {
            self.remove(row, BANK_REMOVED);
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for (at, unit) in self.units.iter().enumerate() {
            let Some(label) = self.removed[at] else { continue };
            match findings.last_mut() {
                Some((groups, other))
                    if *other == label && groups.end == unit.groups.start && unit.is_joined =>
                {
                    groups.end = unit.groups.end;
                }
                _ => findings.push((unit.groups.clone(), label)),
            }
        }
        findings
    }
}

/// The check of the American Bankers Association's routing numbers, and the prefixes that are given out.
fn is_routing_number(digits: &[u8]) -> bool {
    let [a, b, _, _, _, _, _, _, _] = *digits else {
        return false;
    };
    let weights = [3, 7, 1].into_iter().cycle();
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| u32::from(*digit) * weight)
        .sum();
    matches!(a * 10 + b, 1..=12 | 21..=32 | 61..=72 | 80) && sum.is_multiple_of(10)
}
