//! `/api/contacts`: the CRM tells of its people, by whose telephone numbers calls are matched.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Payload};
use calls::{Contact, ContactKind, ContactRef, PhoneNumber, Region};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::{ContactWithPhones, ContactsSaved, NumberFilter, PeopleSearch};
use utoipa::{IntoParams, ToSchema};

use crate::answer::{Answer, Refusal};
use crate::shapes::{Done, Problem, SUCCESS};
use crate::{Api, body, query};

/// How many contacts are saved at a time.
const BATCH: usize = 1_000;

/// How many people a search finds, unless the caller says otherwise, and at most.
const PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;

/// With fewer digits a number says nothing.
const MIN_DIGITS: usize = 3;

/// The longest id, in bytes: far longer than any CRM's, and short enough for an index.
const MAX_ID: usize = 256;

/// How many problems are told one by one.
const PROBLEMS_SHOWN: usize = 100;

/// One of the CRM's people.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PersonDetails {
    name: Option<String>,
    /// The CRM's user who looks after the person, and hears of the calls on a channel of his own.
    owner_id: Option<String>,
    /// All telephone numbers, in any spelling; others that were known are forgotten.
    #[serde(default)]
    phones: Vec<String>,
    /// When the CRM changed the person; now unless said otherwise.
    updated_at: Option<DateTime<Utc>>,
}

/// One line of many.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PersonLine {
    /// `lead` or `customer`.
    kind: String,
    /// The CRM's id.
    id: String,
    #[serde(flatten)]
    details: PersonDetails,
}

/// What became of people that were told.
#[derive(Serialize, ToSchema)]
pub(crate) struct PeopleSaved {
    #[schema(example = "success")]
    status: &'static str,
    /// How many are new or changed.
    saved: usize,
    /// How many earlier calls could be linked thanks to them.
    calls_linked: usize,
    /// Numbers by which nobody will be found, and lines that could not be used: how many, and the first hundred.
    problems: usize,
    first_problems: Vec<ContactProblem>,
}

/// What is wrong with a line.
#[derive(Serialize, ToSchema)]
struct ContactProblem {
    /// From 1.
    line: usize,
    reason: String,
}

impl PeopleSaved {
    fn new() -> Self {
        Self {
            status: SUCCESS,
            saved: 0,
            calls_linked: 0,
            problems: 0,
            first_problems: Vec::new(),
        }
    }

    fn count(&mut self, saved: ContactsSaved) {
        self.saved += saved.saved;
        self.calls_linked += saved.calls_linked;
    }

    fn problem(&mut self, line: usize, reason: impl Into<String>) {
        self.problems += 1;
        if self.first_problems.len() < PROBLEMS_SHOWN {
            self.first_problems.push(ContactProblem {
                line,
                reason: reason.into(),
            });
        }
    }
}

impl PersonDetails {
    fn into_contact(
        self,
        contact: ContactRef,
        line: usize,
        region: Region,
        now: DateTime<Utc>,
        report: &mut PeopleSaved,
    ) -> ContactWithPhones {
        let mut phones = Vec::with_capacity(self.phones.len());
        for (index, text) in self.phones.iter().enumerate() {
            match PhoneNumber::parse(text, region) {
                Ok(number) => phones.push(number),
                Err(error) => report.problem(line, format!("number {} is {error}", index + 1)),
            }
        }
        let given = |text: Option<String>| {
            let text = text.map(|text| text.replace('\0', ""));
            text.filter(|text| !text.trim().is_empty())
        };
        ContactWithPhones {
            contact: Contact {
                contact,
                name: given(self.name),
                owner_id: given(self.owner_id),
                updated_at: self.updated_at.unwrap_or(now),
            },
            phones,
        }
    }
}

fn contact_ref(kind: &str, id: String) -> Result<ContactRef, &'static str> {
    let kind = ContactKind::from_name(kind).ok_or("kind is neither lead nor customer")?;
    if id.trim().is_empty() {
        return Err("id is empty");
    }
    if id.len() > MAX_ID {
        return Err("id is longer than 256 bytes");
    }
    if id.contains('\0') {
        return Err("id has a NUL character, which PostgreSQL does not store");
    }
    Ok(ContactRef { kind, id })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// A part of a name, a telephone number in any spelling or a part of one, or the CRM's id.
    q: Option<String>,
    /// How many, up to 100; 20 unless said otherwise.
    limit: Option<u32>,
}

/// People that were found.
#[derive(Serialize, ToSchema)]
pub(crate) struct PeopleFound {
    #[schema(example = "success")]
    status: &'static str,
    contacts: Vec<PersonFound>,
}

/// One of the CRM's people, as the CRM told.
#[derive(Serialize, ToSchema)]
struct PersonFound {
    /// `lead` or `customer`.
    kind: &'static str,
    /// The CRM's id.
    id: String,
    name: Option<String>,
    owner_id: Option<String>,
    /// E.164.
    phones: Vec<String>,
    updated_at: DateTime<Utc>,
}

impl From<ContactWithPhones> for PersonFound {
    fn from(ContactWithPhones { contact, phones }: ContactWithPhones) -> Self {
        Self {
            kind: contact.contact.kind.as_str(),
            id: contact.contact.id,
            name: contact.name,
            owner_id: contact.owner_id,
            phones: phones.iter().map(|number| number.as_str().to_owned()).collect(),
            updated_at: contact.updated_at,
        }
    }
}

/// Looks for people by name, number or id.
#[utoipa::path(
    get,
    path = "/api/contacts",
    operation_id = "search_contacts",
    tag = "contacts",
    params(Search),
    responses(
        (status = 200, description = "Those that were found, by their names", body = PeopleFound),
        (status = 400, description = "The request cannot be read", body = Problem),
    )
)]
pub(crate) async fn search(search: query::Parameters<Search>, api: Data<Api>) -> Answer {
    let text = search.q.as_deref().unwrap_or_default().trim().to_owned();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    // "7 Eleven" is a name.
    let is_number = digits >= MIN_DIGITS && !text.chars().any(char::is_alphabetic);
    let number = is_number.then(|| NumberFilter::read(&text, api.settings.reading.region));
    let wanted = PeopleSearch {
        text,
        number: number.flatten(),
    };
    let limit = search.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let found = api.store.search_contacts(wanted, limit).await?;
    Ok(HttpResponse::Ok().json(PeopleFound {
        status: SUCCESS,
        contacts: found.into_iter().map(Into::into).collect(),
    }))
}

/// Tells of a person: new, or changed. Earlier calls that had no match are linked.
#[utoipa::path(
    put,
    path = "/api/contacts/{kind}/{id}",
    operation_id = "save_contact",
    tag = "contacts",
    params(
        ("kind" = String, Path, description = "`lead` or `customer`"),
        ("id" = String, Path, description = "The CRM's id"),
    ),
    request_body = PersonDetails,
    responses(
        (status = 200, description = "The person is known", body = PeopleSaved),
        (status = 400, description = "The person cannot be read", body = Problem),
    )
)]
pub(crate) async fn save(path: Path<(String, String)>, payload: Payload, api: Data<Api>) -> Answer {
    let (kind, id) = path.into_inner();
    let contact = contact_ref(&kind, id).map_err(Refusal::invalid)?;
    let details: PersonDetails = body::object(payload).await?;
    let (now, mut report) = (Utc::now(), PeopleSaved::new());
    let person = details.into_contact(contact, 1, api.settings.reading.region, now, &mut report);
    let saved = api
        .store
        .save_contacts(vec![person], &api.settings.rules, now)
        .await?;
    report.count(saved);
    Ok(HttpResponse::Ok().json(report))
}

/// Removes a person. Links of calls with him stay.
#[utoipa::path(
    delete,
    path = "/api/contacts/{kind}/{id}",
    operation_id = "remove_contact",
    tag = "contacts",
    params(
        ("kind" = String, Path, description = "`lead` or `customer`"),
        ("id" = String, Path, description = "The CRM's id"),
    ),
    responses(
        (status = 200, description = "The person is not known any more", body = Done),
        (status = 400, description = "The request cannot be read", body = Problem),
        (status = 404, description = "The person was not known", body = Problem),
    )
)]
pub(crate) async fn remove(path: Path<(String, String)>, api: Data<Api>) -> Answer {
    let (kind, id) = path.into_inner();
    let contact = contact_ref(&kind, id).map_err(Refusal::invalid)?;
    match api.store.remove_contacts(vec![contact]).await? {
        0 => Err(Refusal::not_found("There is no such contact")),
        _ => Ok(HttpResponse::Ok().json(Done::new("Contact removed"))),
    }
}

/// Tells of many people, one JSON object a line. A line that cannot be used costs no other.
#[utoipa::path(
    post,
    path = "/api/contacts",
    operation_id = "save_contacts",
    tag = "contacts",
    request_body(content = PersonLine, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "What became of them", body = PeopleSaved),
        (status = 413, description = "More than 16 MiB: send them in parts", body = Problem),
    )
)]
pub(crate) async fn save_many(payload: Payload, api: Data<Api>) -> Answer {
    let bytes = body::list(payload).await?;
    let (now, mut report) = (Utc::now(), PeopleSaved::new());
    let mut batch = Vec::with_capacity(BATCH);
    for (index, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line = index + 1;
        let read = serde_json::from_slice::<PersonLine>(text);
        // The parser's text could hold what stands in the line.
        let read = read.map_err(|_| "not a JSON object with kind, id and phones");
        let read = read.and_then(|read| Ok((contact_ref(&read.kind, read.id)?, read.details)));
        match read {
            Ok((contact, details)) => {
                batch.push(details.into_contact(
                    contact,
                    line,
                    api.settings.reading.region,
                    now,
                    &mut report,
                ));
            }
            Err(reason) => report.problem(line, reason),
        }
        if batch.len() == BATCH {
            let full = std::mem::take(&mut batch);
            report.count(api.store.save_contacts(full, &api.settings.rules, now).await?);
        }
    }
    report.count(api.store.save_contacts(batch, &api.settings.rules, now).await?);
    Ok(HttpResponse::Ok().json(report))
}
