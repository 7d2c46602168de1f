//! The people who call and are called, and their fictitious numbers.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;

use crate::words::{AREAS, Area, FIRST_NAMES, LAST_NAMES, NAMELESS};

/// One of the people that the CRM knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// `lead` or `customer`.
    pub kind: &'static str,
    /// The CRM's id, unique within the kind.
    pub id: String,
    /// As the CRM spells it.
    pub name: String,
    /// The CRM's user who looks after this person.
    pub owner_id: Option<String>,
    /// The number as somebody typed it into the CRM: `(404) 555-0123`, `404.555.0123`, `4045550123 x12`.
    pub phone: String,
    /// The same number in E.164 form.
    pub e164: String,
}

/// What `CallRail` knows of one outside number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    /// E.164, or what stands there for a withheld number.
    pub(crate) number: String,
    /// The carrier's caller name: upper case, surname first.
    pub(crate) cnam: String,
    pub(crate) city: &'static str,
    pub(crate) state: &'static str,
    /// Empty for a withheld number.
    pub(crate) country: &'static str,
    /// `PER…`.
    pub(crate) person_id: String,
    /// Calls before this one, in both directions.
    pub(crate) prior_calls: u32,
    pub(crate) is_withheld: bool,
}

impl Caller {
    /// `Atlanta, GA`; empty for a withheld number.
    pub(crate) fn location(&self) -> String {
        if self.city.is_empty() {
            String::new()
        } else {
            format!("{}, {}", self.city, self.state)
        }
    }
}

/// Everybody who may be at the other end.
pub(crate) struct Callers {
    people: Vec<Person>,
    /// Numbers that nobody has yet.
    free: Vec<(String, &'static Area)>,
    /// Unknown numbers that called before.
    strangers: Vec<String>,
    seen: HashMap<String, Caller>,
}

/// What `CallRail`, like other Twilio-based systems, may send instead of a withheld number.
const WITHHELD: [&str; 2] = ["+266696687", "anonymous"];

/// People who share their number with somebody: a customer and a lead each time.
const SHARED_NUMBERS: usize = 2;

impl Callers {
    /// Invents `count` people; none of them has one of the `reserved` numbers.
    pub(crate) fn invent(rng: &mut Rng, count: usize, reserved: &[&str]) -> Self {
        let reserved: HashSet<&str> = reserved.iter().copied().collect();
        let mut free: Vec<(String, &'static Area)> = AREAS
            .iter()
            .flat_map(|area| (100..200).map(move |line| (format!("+1{}5550{line}", area.code), area)))
            .filter(|(number, _)| !reserved.contains(number.as_str()))
            .collect();
        rng.shuffle(&mut free);

        let mut people = Vec::with_capacity(count);
        let mut shared = None;
        for index in 0..count {
            // The first pairs share: a customer, then a lead with the same number.
            let is_second = shared.is_some();
            let number = match shared.take() {
                Some(number) => number,
                None => match free.pop() {
                    Some((number, _)) => number,
                    None => break,
                },
            };
            let is_first = !is_second && index < 2 * SHARED_NUMBERS;
            if is_first {
                shared = Some(number.clone());
            }
            let kind = if is_first || (!is_second && rng.bool()) {
                "customer"
            } else {
                "lead"
            };
            people.push(Person {
                kind,
                id: format!("{kind}-{}", 1_000 + index),
                name: format!("{} {}", pick(rng, &FIRST_NAMES), pick(rng, &LAST_NAMES)),
                owner_id: (rng.u8(0..5) > 0).then(|| format!("user-{}", rng.u8(1..=4))),
                phone: as_people_type_it(rng, &number),
                e164: number,
            });
        }
        Self {
            people,
            free,
            strangers: Vec::new(),
            seen: HashMap::new(),
        }
    }

    pub(crate) fn people(&self) -> &[Person] {
        &self.people
    }

    pub(crate) fn into_people(self) -> Vec<Person> {
        self.people
    }

    /// Somebody whom the CRM knows, for the next call.
    pub(crate) fn known(&mut self, rng: &mut Rng) -> Caller {
        let Some(person) = rng.choice(&self.people) else {
            return self.stranger(rng);
        };
        let surname_first = person
            .name
            .to_uppercase()
            .split(' ')
            .rev()
            .collect::<Vec<_>>()
            .join(" ");
        let number = person.e164.clone();
        self.at(rng, &number, surname_first)
    }

    /// Somebody whom the CRM does not know: mostly new, now and then one who called before.
    pub(crate) fn stranger(&mut self, rng: &mut Rng) -> Caller {
        let again = rng.u8(0..100) < 15;
        let number = match (rng.choice(&self.strangers).cloned(), self.free.is_empty()) {
            (Some(number), is_last) if again || is_last => number,
            _ => match self.free.pop() {
                Some((number, _)) => number,
                // No number is left and nobody called before: an account of more people than numbers.
                None => return self.withheld(rng),
            },
        };
        if !self.seen.contains_key(&number) {
            self.strangers.push(number.clone());
        }
        let name = match rng.u8(0..10) {
            0..3 => pick(rng, &NAMELESS).to_owned(),
            3..5 => {
                area_of(&number).map_or_else(String::new, |area| format!("{}, {}", area.city, area.state))
            }
            _ => format!("{} {}", pick(rng, &LAST_NAMES), pick(rng, &FIRST_NAMES)),
        };
        self.at(rng, &number, name.to_uppercase())
    }

    /// Somebody who does not show the number.
    pub(crate) fn withheld(&mut self, rng: &mut Rng) -> Caller {
        let number = pick(rng, &WITHHELD).to_owned();
        let mut caller = self.at(rng, &number, "ANONYMOUS".to_owned());
        caller.is_withheld = true;
        caller
    }

    /// The caller at this number, one call older than the last time.
    fn at(&mut self, rng: &mut Rng, number: &str, cnam: String) -> Caller {
        if let Some(caller) = self.seen.get_mut(number) {
            caller.prior_calls += 1;
            return caller.clone();
        }
        let area = area_of(number);
        let caller = Caller {
            number: number.to_owned(),
            cnam,
            city: area.map_or("", |area| area.city),
            state: area.map_or("", |area| area.state),
            country: area.map_or("", |_| "US"),
            person_id: format!("PER{}", hex(rng, 32)),
            prior_calls: 0,
            is_withheld: false,
        };
        self.seen.insert(number.to_owned(), caller.clone());
        caller
    }
}

/// That many random hexadecimal digits.
pub(crate) fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

/// One of them.
pub(crate) fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())]
}

fn as_people_type_it(rng: &mut Rng, number: &str) -> String {
    let Some((area, exchange, line)) = national_parts(number) else {
        return number.to_owned();
    };
    match rng.u8(0..9) {
        0 => number.to_owned(),
        1 => format!("{area}.{exchange}.{line}"),
        2 => format!("+1 {area} {exchange} {line}"),
        3 => format!("{area}{exchange}{line} x{}", rng.u8(10..99)),
        4 => format!("{area}-{exchange}-{line}"),
        5 => format!("1-{area}-{exchange}-{line}"),
        6 => format!("{area} {exchange} {line} ext. {}", rng.u8(1..9)),
        _ => format!("({area}) {exchange}-{line}"),
    }
}

/// Area code, exchange and line of a North American number in E.164 form.
pub(crate) fn national_parts(number: &str) -> Option<(&str, &str, &str)> {
    let national = number
        .strip_prefix("+1")
        .filter(|national| national.len() == 10)?;
    Some((national.get(..3)?, national.get(3..6)?, national.get(6..)?))
}

fn area_of(number: &str) -> Option<&'static Area> {
    let (code, ..) = national_parts(number)?;
    AREAS.iter().find(|area| area.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> String {
        text.chars().filter(char::is_ascii_digit).collect()
    }

    #[test]
    fn every_spelling_holds_the_ten_digits_in_order() {
        let callers = Callers::invent(&mut Rng::with_seed(1), 200, &[]);
        for person in callers.people() {
            assert!(digits(&person.phone).contains(&person.e164[2..]), "{person:?}");
        }
        let spellings: HashSet<_> = callers
            .people()
            .iter()
            .map(|person| {
                person
                    .phone
                    .chars()
                    .map(|c| if c.is_ascii_digit() { '0' } else { c })
                    .collect::<String>()
            })
            .collect();
        assert!(spellings.len() >= 7, "{spellings:?}");
    }

    #[test]
    fn two_pairs_share_a_number_and_nobody_else_does() {
        let callers = Callers::invent(&mut Rng::with_seed(2), 400, &[]);
        let people = callers.people();
        let mut by_number: HashMap<&str, Vec<&str>> = HashMap::new();
        for person in people {
            by_number.entry(&person.e164).or_default().push(person.kind);
        }
        let shared: Vec<_> = by_number.into_values().filter(|kinds| kinds.len() > 1).collect();
        assert_eq!(shared, [["customer", "lead"], ["customer", "lead"]]);
    }

    #[test]
    fn strangers_never_have_the_number_of_a_known_person_even_when_numbers_run_out() {
        let mut rng = Rng::with_seed(3);
        let mut callers = Callers::invent(&mut rng, 400, &["+14045550150"]);
        let taken: HashSet<_> = callers
            .people()
            .iter()
            .map(|person| person.e164.clone())
            .collect();
        for _ in 0..3_000 {
            let stranger = callers.stranger(&mut rng);
            assert!(!stranger.is_withheld);
            assert!(!taken.contains(&stranger.number));
            assert_ne!(stranger.number, "+14045550150");
        }
    }

    #[test]
    fn calls_from_one_number_are_counted() {
        let mut rng = Rng::with_seed(4);
        let mut callers = Callers::invent(&mut rng, 1, &[]);
        assert_eq!(callers.known(&mut rng).prior_calls, 0);
        assert_eq!(callers.known(&mut rng).prior_calls, 1);
    }
}
