//! Finds the numbers in texts, in digits or spoken, and what stands between them.
//!
//! Spoken are English words as transcribers write them: `four one one one`, `forty one eleven`, `double four`,
//! `triple oh`, `forty-one hundred`. Words that only sound like numbers (`to`, `for`, `ate`) are words: nearly always
//! they are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::LABELS;

/// A number: digits without a gap, or as one would speak them, such as `forty one`.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Which of the texts.
    pub(super) text: usize,
    /// Where in that text, in bytes.
    pub(super) span: Range<usize>,
    /// Which of [`Numbers::digits`].
    pub(super) digits: Range<usize>,
    /// How many words stand before it. Numbers, fillers and what was removed do not count: so no distance is another
    /// one when something has been removed.
    pub(super) word: usize,
    /// Whether nothing but punctuation and fillers stands between this number and the one before.
    pub(super) is_joined: bool,
    /// An amount, such as `$250`.
    pub(super) is_money: bool,
    pub(super) behind: Behind,
}

/// What stands right before a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// A `+`.
    Plus,
    /// The name of a month.
    Month,
    /// Something else.
    Other,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }
}

/// A word that says what the numbers near it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    /// `CVV`, `security code`.
    SecurityCode,
    /// `SSN`, `social security`.
    SocialSecurity,
    /// `routing`, `checking`: of a bank, and nothing else.
    Bank,
    /// `account`: perhaps of a bank.
    Account,
}

/// Something that stands among the numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<T> {
    pub(super) what: T,
    /// How many groups stand before it.
    pub(super) groups: usize,
    /// How many words stand before it.
    pub(super) words: usize,
}

/// What stands in some texts that belong together.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) groups: Vec<Group>,
    /// 0 to 9, of all groups.
    pub(super) digits: Vec<u8>,
    pub(super) keywords: Vec<Mark<Keyword>>,
    /// What was removed already, each with what stands in its place.
    pub(super) removed: Vec<Mark<&'static str>>,
}

impl Numbers {
    /// Reads texts as one: a number may begin in one and end in the next.
    pub(super) fn read(texts: &[&str]) -> Self {
        let mut reader = Reader::default();
        for (index, text) in texts.iter().enumerate() {
            reader.read(index, text);
        }
        reader.numbers
    }
}

/// What stands between two numbers of one and the same: at most so many of these words.
const MAX_FILLERS: usize = 8;

/// A spoken number, or a part of one.
#[derive(Debug, Clone, Copy)]
enum Spoken {
    Digit(u8),
    Teen(u8),
    Tens(u8),
    /// So many zeros behind the number before.
    Zeros(usize),
    /// The next digit is meant so many times.
    Times(usize),
}

/// What a word means here.
#[derive(Debug, Clone, Copy)]
enum Word {
    Spoken(Spoken),
    Keyword(Keyword),
    /// A keyword's first half.
    Security,
    /// The second half.
    Code,
    /// The second half too, and else a filler.
    Number,
    Filler,
    Month,
    /// What was counted is money, or a share.
    Amount,
    Other,
}

/// Every word that means something.
const WORDS: [(Word, &[&str]); 43] = [
    (
        Word::Spoken(Spoken::Digit(0)),
        &["zero", "oh", "o", "nought", "naught"],
    ),
    (Word::Spoken(Spoken::Digit(1)), &["one"]),
    (Word::Spoken(Spoken::Digit(2)), &["two"]),
    (Word::Spoken(Spoken::Digit(3)), &["three"]),
    (Word::Spoken(Spoken::Digit(4)), &["four"]),
    (Word::Spoken(Spoken::Digit(5)), &["five"]),
    (Word::Spoken(Spoken::Digit(6)), &["six"]),
    (Word::Spoken(Spoken::Digit(7)), &["seven"]),
    (Word::Spoken(Spoken::Digit(8)), &["eight"]),
    (Word::Spoken(Spoken::Digit(9)), &["nine", "niner"]),
    (Word::Spoken(Spoken::Teen(0)), &["ten"]),
    (Word::Spoken(Spoken::Teen(1)), &["eleven"]),
    (Word::Spoken(Spoken::Teen(2)), &["twelve"]),
    (Word::Spoken(Spoken::Teen(3)), &["thirteen"]),
    (Word::Spoken(Spoken::Teen(4)), &["fourteen"]),
    (Word::Spoken(Spoken::Teen(5)), &["fifteen"]),
    (Word::Spoken(Spoken::Teen(6)), &["sixteen"]),
    (Word::Spoken(Spoken::Teen(7)), &["seventeen"]),
    (Word::Spoken(Spoken::Teen(8)), &["eighteen"]),
    (Word::Spoken(Spoken::Teen(9)), &["nineteen"]),
    (Word::Spoken(Spoken::Tens(2)), &["twenty"]),
    (Word::Spoken(Spoken::Tens(3)), &["thirty"]),
    (Word::Spoken(Spoken::Tens(4)), &["forty", "fourty"]),
    (Word::Spoken(Spoken::Tens(5)), &["fifty"]),
    (Word::Spoken(Spoken::Tens(6)), &["sixty"]),
    (Word::Spoken(Spoken::Tens(7)), &["seventy"]),
    (Word::Spoken(Spoken::Tens(8)), &["eighty"]),
    (Word::Spoken(Spoken::Tens(9)), &["ninety"]),
    (Word::Spoken(Spoken::Zeros(2)), &["hundred"]),
    (Word::Spoken(Spoken::Zeros(3)), &["thousand"]),
    (Word::Spoken(Spoken::Times(2)), &["double"]),
    (Word::Spoken(Spoken::Times(3)), &["triple", "treble"]),
    (Word::Spoken(Spoken::Times(4)), &["quadruple"]),
    (
        Word::Keyword(Keyword::SecurityCode),
        &["cvv", "cvv2", "cvc", "cvc2", "csc", "cvn"],
    ),
    (Word::Keyword(Keyword::SocialSecurity), &["ssn", "social"]),
    (
        Word::Keyword(Keyword::Bank),
        &["routing", "aba", "ach", "bank", "checking", "savings", "iban"],
    ),
    (Word::Keyword(Keyword::Account), &["account", "acct"]),
    (Word::Security, &["security"]),
    (Word::Code, &["code"]),
    (Word::Number, &["number"]),
    (
        Word::Filler,
        &[
            "agent", "ah", "ahead", "alright", "and", "caller", "customer", "dash", "er", "go", "good",
            "got", "great", "hmm", "hm", "huh", "it", "mhm", "mm", "next", "numbers", "ok", "okay",
            "perfect", "right", "space", "speaker", "sure", "thank", "thanks", "then", "uh", "um", "yeah",
            "yep", "yes",
        ],
    ),
    (
        Word::Month,
        &[
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
            "jan",
            "feb",
            "mar",
            "apr",
            "jun",
            "jul",
            "aug",
            "sep",
            "oct",
            "nov",
            "dec",
        ],
    ),
    (
        Word::Amount,
        &[
            "bucks", "cents", "dollar", "dollars", "euros", "percent", "pounds", "usd",
        ],
    ),
];

/// Of all of them.
const LONGEST_WORD: usize = 12;

static MEANINGS: LazyLock<HashMap<&str, Word, RandomState>> = LazyLock::new(|| {
    let words = WORDS.iter();
    words
        .flat_map(|(meaning, words)| words.iter().map(|word| (*word, *meaning)))
        .collect()
});

impl Word {
    /// What a word means, however it is capitalised.
    fn of(word: &str) -> Self {
        let mut lower = [0; LONGEST_WORD];
        let Some(lower) = lower.get_mut(..word.len()) else {
            return Self::Other;
        };
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        let known = std::str::from_utf8(lower)
            .ok()
            .and_then(|lower| MEANINGS.get(lower));
        known.copied().unwrap_or(Self::Other)
    }
}

/// The last thing that was read, as far as the next word depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    #[default]
    Other,
    /// `twenty`, to which a digit may belong.
    Tens,
    /// Another spoken number, to which `hundred` may belong.
    Spoken,
    /// `double`, which begins at this byte.
    Times { start: usize, times: usize },
    /// `security`, `social`.
    Security,
    /// The name of a month.
    Month,
}

#[derive(Default)]
struct Reader {
    numbers: Numbers,
    /// How many words were read.
    words: usize,
    /// How many fillers since the last number; `None`: something else was there, too.
    fillers: Option<usize>,
    last: Last,
    has_plus: bool,
    is_money: bool,
}

impl Reader {
    fn read(&mut self, index: usize, text: &str) {
        if matches!(self.last, Last::Tens | Last::Spoken | Last::Times { .. }) {
            self.last = Last::Other;
        }
        let mut at = 0;
        let mut before = ' ';
        while let Some((letter, length)) = letter(text, at) {
            if letter.is_alphanumeric() {
                let end = end_of_word(text, at);
                self.word(index, text, at..end);
                at = end;
                before = if digit(letter).is_some() { '0' } else { 'a' };
                continue;
            }
            if letter == '['
                && let Some(label) = LABELS.iter().find(|label| text[at..].starts_with(**label))
            {
                self.numbers.removed.push(self.mark(*label));
                self.fillers = None;
                self.last = Last::Other;
                self.has_plus = false;
                self.is_money = false;
                at += label.len();
                continue;
            }
            self.between(letter, before);
            before = letter;
            at += length;
        }
    }

    /// A letter that belongs to no word.
    fn between(&mut self, letter: char, before: char) {
        self.has_plus = letter == '+';
        self.is_money = matches!(letter, '$' | '€' | '£');
        let is_soft = letter.is_whitespace()
            || matches!(letter, '-' | '‐'..='―' | '.' | ',' | ';' | '/' | '_' | '+' | '*' | '(' | ')' | '"' | '\'' | '!' | '?')
            || matches!(letter, '·' | '•' | '|' | '~')
            // Not to be seen: soft hyphens, joiners and spaces without width.
            || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
            // Behind a word a colon names who speaks; behind a digit it is the time.
            || (letter == ':' && before != '0');
        if !is_soft {
            self.fillers = None;
        }
        let binds = letter == ' ' || letter == '-';
        if !binds && matches!(self.last, Last::Tens | Last::Spoken | Last::Times { .. }) {
            self.last = Last::Other;
        }
    }

    fn word(&mut self, index: usize, text: &str, span: Range<usize>) {
        let word = &text[span.clone()];
        let is_money = std::mem::take(&mut self.is_money);
        let has_plus = std::mem::take(&mut self.has_plus);
        if word.chars().all(|c| digit(c).is_some()) {
            let start = match self.last {
                Last::Times { start, .. } => start,
                _ => span.start,
            };
            let times = match self.last {
                Last::Times { times, .. } if word.chars().count() == 1 => times,
                _ => 1,
            };
            for _ in 0..times {
                self.numbers.digits.extend(word.chars().filter_map(digit));
            }
            self.group(index, start..span.end, word.chars().count() * times);
            if let Some(group) = self.numbers.groups.last_mut() {
                group.is_money = is_money;
                if has_plus {
                    group.behind = Behind::Plus;
                }
            }
            self.last = Last::Other;
        } else {
            match Word::of(word) {
                Word::Spoken(spoken) if self.spoken(index, &span, spoken) => {}
                word => self.other(word),
            }
        }
    }

    fn mark<T>(&self, what: T) -> Mark<T> {
        Mark {
            what,
            groups: self.numbers.groups.len(),
            words: self.words,
        }
    }

    /// Takes a spoken number. `false`: it was none.
    fn spoken(&mut self, index: usize, span: &Range<usize>, spoken: Spoken) -> bool {
        match (spoken, self.last) {
            (Spoken::Digit(unit @ 1..), Last::Tens) => {
                let Some(group) = self.numbers.groups.last_mut() else {
                    return false;
                };
                self.numbers.digits[group.digits.end - 1] = unit;
                group.span.end = span.end;
                self.last = Last::Spoken;
            }
            (Spoken::Digit(digit), Last::Times { start, times }) => {
                self.numbers.digits.extend(std::iter::repeat_n(digit, times));
                self.group(index, start..span.end, times);
                self.last = Last::Spoken;
            }
            (Spoken::Digit(digit), _) => {
                self.numbers.digits.push(digit);
                self.group(index, span.clone(), 1);
                self.last = Last::Spoken;
            }
            (Spoken::Teen(unit), _) => {
                self.numbers.digits.extend([1, unit]);
                self.group(index, span.clone(), 2);
                self.last = Last::Spoken;
            }
            (Spoken::Tens(tens), _) => {
                self.numbers.digits.extend([tens, 0]);
                self.group(index, span.clone(), 2);
                self.last = Last::Tens;
            }
            (Spoken::Zeros(zeros), Last::Tens | Last::Spoken) => {
                let Some(group) = self.numbers.groups.last_mut() else {
                    return false;
                };
                self.numbers.digits.extend(std::iter::repeat_n(0, zeros));
                group.digits.end += zeros;
                group.span.end = span.end;
                self.last = Last::Other;
            }
            (Spoken::Zeros(_), _) => return false,
            (Spoken::Times(times), _) => {
                self.last = Last::Times {
                    start: span.start,
                    times,
                };
            }
        }
        true
    }

    /// A word that is no number.
    fn other(&mut self, word: Word) {
        let keyword = match (word, self.last) {
            (Word::Code | Word::Number, Last::Security) => Some(Keyword::SecurityCode),
            (Word::Keyword(keyword), _) => Some(keyword),
            _ => None,
        };
        if let Some(keyword) = keyword {
            self.numbers.keywords.push(self.mark(keyword));
        }
        if matches!(word, Word::Amount)
            && let Some(group) = self.numbers.groups.last_mut()
            && group.word == self.words
        {
            group.is_money = true;
        }
        let is_filler = matches!(word, Word::Filler | Word::Number);
        self.words += usize::from(!is_filler);
        self.fillers = self
            .fillers
            .map(|fillers| fillers + 1)
            .filter(|fillers| is_filler && *fillers <= MAX_FILLERS);
        self.last = match word {
            Word::Security => Last::Security,
            Word::Month => Last::Month,
            _ => Last::Other,
        };
    }

    /// Takes the last digits as a group.
    fn group(&mut self, text: usize, span: Range<usize>, length: usize) {
        let end = self.numbers.digits.len();
        self.numbers.groups.push(Group {
            text,
            span,
            digits: end - length..end,
            word: self.words,
            is_joined: self.fillers.is_some(),
            is_money: false,
            behind: if self.last == Last::Month {
                Behind::Month
            } else {
                Behind::Other
            },
        });
        self.fillers = Some(0);
    }
}

/// The digit that a letter is, in the scripts that have their own.
fn digit(letter: char) -> Option<u8> {
    const ZEROS: [char; 5] = ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];
    ZEROS.into_iter().find_map(|zero| {
        let value = u32::from(letter).checked_sub(u32::from(zero))?;
        u8::try_from(value).ok().filter(|value| *value < 10)
    })
}

/// The letter at a byte, and its length there. JSON's and a form's ways to write white space and signs are read as
/// that: bodies that could not be read are searched as they came.
fn letter(text: &str, at: usize) -> Option<(char, usize)> {
    let letter = text[at..].chars().next()?;
    let rest = &text.as_bytes()[at + letter.len_utf8()..];
    Some(match (letter, rest) {
        ('\\', [b'n' | b'r' | b't' | b'b' | b'f', ..]) => ('\n', 2),
        ('\\', [b'"' | b'\\' | b'/', ..]) => (' ', 2),
        ('\\', [b'u', ..]) => (escaped(rest).unwrap_or('?'), 1 + escape_length(rest)),
        ('%', [b'2', b'0', ..] | [b'0', b'A' | b'a' | b'D' | b'd', ..]) => (' ', 3),
        ('%', [b'2', b'D' | b'd', ..]) => ('-', 3),
        ('%', [b'2', b'B' | b'b', ..]) => ('+', 3),
        _ => (letter, letter.len_utf8()),
    })
}

/// What `uXXXX` stands for, when that is no letter and no digit: those are never written so.
fn escaped(rest: &[u8]) -> Option<char> {
    let hex = std::str::from_utf8(rest.get(1..5)?).ok()?;
    let letter = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
    (!letter.is_alphanumeric()).then_some(letter)
}

fn escape_length(rest: &[u8]) -> usize {
    match rest.get(1..5) {
        Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => 5,
        _ => 1,
    }
}

/// Letters and digits that stand together are words of their own: people write `1111exp` and `card4111`.
fn end_of_word(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    let ends_at = |is_end: &dyn Fn(char) -> bool| from + rest.find(is_end).unwrap_or(rest.len());
    let is_number = rest.starts_with(|c| digit(c).is_some());
    let end = ends_at(&|c| !c.is_alphanumeric() || digit(c).is_some() != is_number);
    if is_number {
        return end;
    }
    // But `cvv2` is one.
    let whole = ends_at(&|c| !c.is_alphanumeric());
    match Word::of(&text[from..whole]) {
        Word::Other => end,
        _ => whole,
    }
}
