//! Whom a telephone number belongs to. Numbers are compared in E.164 form and by nothing but equality.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::phone::{Party, PhoneNumber, is_withheld};

/// The two kinds of people a CRM knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactKind {
    /// Has bought.
    Customer,
    /// Has not bought yet.
    Lead,
}

impl ContactKind {
    /// The name in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Lead => "lead",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Customer, Self::Lead]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// Names one of the CRM's people. The id is the CRM's own, opaque to us.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactRef {
    /// Lead or customer: their ids may overlap.
    pub kind: ContactKind,
    /// The CRM's id.
    pub id: String,
}

/// One of the CRM's people, as mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub contact: ContactRef,
    /// As the CRM spells it.
    pub name: Option<String>,
    /// The CRM user who looks after this person and sees the calls on a channel of his own.
    pub owner_id: Option<String>,
    /// When the CRM last changed the person.
    pub updated_at: DateTime<Utc>,
}

/// Whose the numbers of a batch are.
#[derive(Debug, Clone, Default)]
pub struct People {
    contacts: HashMap<PhoneNumber, Vec<Contact>>,
    /// The account's own among these numbers: they belong to nobody, whatever the CRM says.
    account: HashSet<PhoneNumber>,
    /// With whom calls are linked already, though none of the numbers is theirs.
    linked: Vec<Contact>,
}

impl People {
    /// Adds one contact of a number.
    pub fn add(&mut self, number: PhoneNumber, contact: Contact) {
        self.contacts.entry(number).or_default().push(contact);
    }

    /// Adds a number of the account itself.
    pub fn add_account_number(&mut self, number: PhoneNumber) {
        self.account.insert(number);
    }

    /// Adds a contact that a call is linked with already, by whatever number it came: he is told of it, and matches none.
    pub fn add_linked(&mut self, contact: Contact) {
        self.linked.push(contact);
    }

    /// The contact, if one of the numbers looked up is his, or a call is linked with him.
    pub fn find(&self, contact: &ContactRef) -> Option<&Contact> {
        let with_numbers = self.contacts.values().flatten();
        with_numbers
            .chain(&self.linked)
            .find(|candidate| candidate.contact == *contact)
    }
}

/// Which of several people with the same number is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatchPreference {
    /// A customer before a lead, then whoever the CRM changed last.
    #[default]
    CustomerFirst,
    /// Whoever the CRM changed last.
    MostRecent,
}

/// How the operator wants calls to be matched.
#[derive(Debug, Clone, Default)]
pub struct MatchRules {
    /// Among several.
    pub preference: MatchPreference,
    /// Numbers that belong to nobody because the operator says so. The account's own are known to [`People`].
    pub never: HashSet<PhoneNumber>,
}

/// By which rule a call was matched, or why it was not. Stored with the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchMethod {
    /// One person has this number.
    OnlyOne,
    /// Several have it; the only customer among them, or the customer changed last.
    CustomerFirst,
    /// Several have it; the one changed last.
    MostRecent,
    /// Somebody linked the call by hand.
    Human,
    /// Nobody has this number.
    NoContact,
    /// The caller withheld the number.
    Withheld,
    /// What CallRail sent is no number.
    Unreadable,
    /// The account's own number, or a blocked one.
    NeverMatched,
}

impl MatchMethod {
    const ALL: [Self; 8] = [
        Self::OnlyOne,
        Self::CustomerFirst,
        Self::MostRecent,
        Self::Human,
        Self::NoContact,
        Self::Withheld,
        Self::Unreadable,
        Self::NeverMatched,
    ];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnlyOne => "only_one",
            Self::CustomerFirst => "customer_first",
            Self::MostRecent => "most_recent",
            Self::Human => "human",
            Self::NoContact => "no_contact",
            Self::Withheld => "withheld",
            Self::Unreadable => "unreadable",
            Self::NeverMatched => "never_matched",
        }
    }

    /// The method of that name.
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// Whom a call is linked with, and how that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The lead's id in the CRM.
    pub lead_id: Option<String>,
    /// The customer's id in the CRM.
    pub customer_id: Option<String>,
    /// By which rule.
    pub method: MatchMethod,
    /// All who have the number when they are several: the call is on the review list.
    pub candidates: Vec<ContactRef>,
}

impl Link {
    /// Not linked, for this reason.
    pub fn none(method: MatchMethod) -> Self {
        Self {
            lead_id: None,
            customer_id: None,
            method,
            candidates: Vec::new(),
        }
    }

    /// Linked with this person, or with nobody; nobody else comes into question.
    pub(crate) fn with(contact: Option<&ContactRef>, method: MatchMethod) -> Self {
        let mut link = Self::none(method);
        match contact.map(|contact| (contact.kind, contact.id.clone())) {
            Some((ContactKind::Lead, id)) => link.lead_id = Some(id),
            Some((ContactKind::Customer, id)) => link.customer_id = Some(id),
            None => {}
        }
        link
    }

    /// Whether the call is linked with somebody. Such a link is never moved by an event.
    pub fn is_set(&self) -> bool {
        self.lead_id.is_some() || self.customer_id.is_some()
    }

    /// The linked person; the customer when both are linked.
    pub fn contact(&self) -> Option<ContactRef> {
        let named = |kind, id: &Option<String>| id.clone().map(|id| ContactRef { kind, id });
        named(ContactKind::Customer, &self.customer_id).or_else(|| named(ContactKind::Lead, &self.lead_id))
    }
}

/// Finds whom the outside party of a call is.
pub fn link(customer: Option<&Party>, people: &People, rules: &MatchRules) -> Link {
    let Some(customer) = customer else {
        return Link::none(MatchMethod::Withheld);
    };
    let Some(number) = &customer.e164 else {
        let withheld = is_withheld(&customer.text);
        return Link::none(if withheld {
            MatchMethod::Withheld
        } else {
            MatchMethod::Unreadable
        });
    };
    if rules.never.contains(number) || people.account.contains(number) {
        return Link::none(MatchMethod::NeverMatched);
    }
    let mut candidates: Vec<&Contact> = people.contacts.get(number).into_iter().flatten().collect();
    candidates.sort_by_key(|candidate| {
        let kind = (rules.preference == MatchPreference::CustomerFirst).then_some(candidate.contact.kind);
        (kind, Reverse(candidate.updated_at), &candidate.contact)
    });
    let Some(first) = candidates.first() else {
        return Link::none(MatchMethod::NoContact);
    };

    let several = candidates.len() > 1;
    let method = match rules.preference {
        _ if !several => MatchMethod::OnlyOne,
        MatchPreference::CustomerFirst if first.contact.kind == ContactKind::Customer => {
            MatchMethod::CustomerFirst
        }
        _ => MatchMethod::MostRecent,
    };
    let mut link = Link::with(Some(&first.contact), method);
    if several {
        link.candidates = candidates
            .iter()
            .map(|candidate| candidate.contact.clone())
            .collect();
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Region;

    const NUMBER: &str = "+14045550123";

    fn contact(kind: ContactKind, id: &str, updated: i64) -> Contact {
        Contact {
            contact: ContactRef {
                kind,
                id: id.to_owned(),
            },
            name: None,
            owner_id: None,
            updated_at: DateTime::from_timestamp(updated, 0).unwrap(),
        }
    }

    fn people(contacts: impl IntoIterator<Item = Contact>) -> People {
        let mut people = People::default();
        for contact in contacts {
            people.add(PhoneNumber::parse(NUMBER, Region::US).unwrap(), contact);
        }
        people
    }

    fn linked(text: &str, people: &People, rules: &MatchRules) -> Link {
        link(Some(&Party::read(text, Region::US)), people, rules)
    }

    #[test]
    fn one_contact_is_linked_whatever_the_spelling() {
        let people = people([contact(ContactKind::Lead, "7", 1)]);
        let link = linked("(404) 555-0123", &people, &MatchRules::default());
        assert_eq!(
            (link.lead_id.as_deref(), link.method),
            (Some("7"), MatchMethod::OnlyOne)
        );
        assert!(link.candidates.is_empty());
    }

    #[test]
    fn a_customer_comes_before_a_newer_lead_and_all_are_candidates() {
        let people = people([
            contact(ContactKind::Lead, "l", 9),
            contact(ContactKind::Customer, "c", 1),
        ]);
        let link = linked(NUMBER, &people, &MatchRules::default());
        assert_eq!((link.customer_id.as_deref(), link.lead_id), (Some("c"), None));
        assert_eq!(link.method, MatchMethod::CustomerFirst);
        assert_eq!(link.candidates.len(), 2);
    }

    #[test]
    fn the_most_recent_wins_when_the_operator_wants_that() {
        let people = people([
            contact(ContactKind::Lead, "l", 9),
            contact(ContactKind::Customer, "c", 1),
        ]);
        let rules = MatchRules {
            preference: MatchPreference::MostRecent,
            ..MatchRules::default()
        };
        assert_eq!(linked(NUMBER, &people, &rules).lead_id.as_deref(), Some("l"));
    }

    #[test]
    fn the_order_of_the_mirror_does_not_matter() {
        let (a, b) = (
            contact(ContactKind::Lead, "a", 5),
            contact(ContactKind::Lead, "b", 5),
        );
        let rules = MatchRules::default();
        assert_eq!(
            linked(NUMBER, &people([a.clone(), b.clone()]), &rules),
            linked(NUMBER, &people([b, a]), &rules)
        );
    }

    #[test]
    fn withheld_blocked_and_unknown_numbers_are_linked_with_nobody() {
        let people = people([contact(ContactKind::Lead, "7", 1)]);
        let mut rules = MatchRules::default();
        assert_eq!(
            linked("+266696687", &people, &rules).method,
            MatchMethod::Withheld
        );
        assert_eq!(linked("12", &people, &rules).method, MatchMethod::Unreadable);
        assert_eq!(
            linked("+14045550199", &people, &rules).method,
            MatchMethod::NoContact
        );
        assert_eq!(link(None, &people, &rules).method, MatchMethod::Withheld);
        rules
            .never
            .insert(PhoneNumber::parse(NUMBER, Region::US).unwrap());
        assert_eq!(
            linked(NUMBER, &people, &rules),
            Link::none(MatchMethod::NeverMatched)
        );
    }

    #[test]
    fn a_number_of_the_account_is_linked_with_nobody() {
        let mut people = people([contact(ContactKind::Lead, "7", 1)]);
        people.add_account_number(PhoneNumber::parse(NUMBER, Region::US).unwrap());
        assert_eq!(
            linked(NUMBER, &people, &MatchRules::default()),
            Link::none(MatchMethod::NeverMatched)
        );
    }
}
