//! Looking for calls, as a person does who remembers a part of a number or a name.

use calls::{Direction, Interaction, Outcome, PhoneNumber, Region};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Which interactions are wanted: those for which all that is given holds. Spam and what vanished is never among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InteractionFilter {
    /// Who called or was called.
    pub number: Option<NumberFilter>,
    /// A part of a name: the carrier's for the line, or the CRM's for the person linked. Upper and lower case are the
    /// same (SQLite: of the letters A to Z).
    pub name: Option<String>,
    /// Began at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Began before this time.
    pub to: Option<DateTime<Utc>>,
    /// How the call ended.
    pub outcome: Option<Outcome>,
    /// Seen from the business.
    pub direction: Option<Direction>,
    /// Whether the CRM's person is known.
    pub match_state: Option<MatchState>,
    /// Only callers who are to be called back: those in the view `crm_callbacks`.
    pub to_call_back: bool,
}

/// A telephone number, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberFilter(Number);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Number {
    Whole(PhoneNumber),
    Digits(String),
}

impl NumberFilter {
    /// Reads what somebody has typed: a number in any spelling is that number, anything else the digits in it, which
    /// a number must hold in this order. `None`: there are none.
    pub fn read(text: &str, region: Region) -> Option<Self> {
        if let Ok(number) = PhoneNumber::parse(text, region) {
            return Some(Self(Number::Whole(number)));
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(Self(Number::Digits(digits)))
    }

    /// The number, if it is a whole one.
    pub(crate) fn whole(&self) -> Option<&str> {
        match &self.0 {
            Number::Whole(number) => Some(number.as_str()),
            Number::Digits(_) => None,
        }
    }

    /// The pattern for `like`, if it is a part.
    pub(crate) fn pattern(&self) -> Option<String> {
        match &self.0 {
            Number::Whole(_) => None,
            Number::Digits(digits) => Some(format!("%{digits}%")),
        }
    }
}

/// Whether a call is linked with one of the CRM's people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchState {
    /// With one, and nobody else comes into question.
    Matched,
    /// With nobody.
    Unmatched,
    /// Several people have the number, and nobody has decided yet.
    Ambiguous,
}

impl MatchState {
    /// The name in the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Matched, Self::Unmatched, Self::Ambiguous]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// A place in the list of interactions, which goes from the latest call to the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InteractionPosition {
    /// When the call began.
    pub scheduled_at: DateTime<Utc>,
    /// The row's id, which tells calls apart that began at the same time.
    pub id: Uuid,
}

/// A row as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInteraction {
    /// The row.
    pub interaction: Interaction,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When we last changed it.
    pub updated_at: DateTime<Utc>,
    /// The call is gone from CallRail.
    pub vanished: bool,
}

impl StoredInteraction {
    /// Where it stands in the list: the list goes on behind it.
    pub fn position(&self) -> InteractionPosition {
        InteractionPosition {
            scheduled_at: self.interaction.scheduled_at,
            id: self.interaction.id,
        }
    }
}

/// A pattern for `like` that finds this text anywhere, with `\` as the escape character.
pub(crate) fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        // PostgreSQL's texts hold no NUL, so none is found either.
        pattern.push(if character == '\0' { '\u{fffd}' } else { character });
    }
    pattern.push('%');
    pattern
}
