//! Lists of calls: filters, order, and both kinds of pages (docs/callrail.md, "Listing calls").

use actix_web::HttpResponse;
use actix_web::http::header;
use reqwest::Url;
use serde_json::{Value, json};

use super::Shared;
use super::answer::{Parameters, Refusal};
use super::call_object::{CallView, Fields, Form};
use super::dates::Range;
use super::fault::Fault;
use super::state::State;
use crate::body::ACCOUNT_NUMBER;

/// The parameters that a link to the next page sets itself.
const PAGE_PARAMETERS: [&str; 6] = ["action", "agency_id", "api_version", "offset", "page", "per_page"];

/// One call with all its fields.
pub(super) fn single(shared: &Shared, parameters: &Parameters, call_sid: &str) -> Result<Value, Refusal> {
    let state = shared.state();
    let index = state.find(call_sid).ok_or(Refusal::NOT_FOUND)?;
    let fields = fields(parameters, Form::Single)?;
    Ok(view(shared, &state, index, Form::Single).object(&fields))
}

/// A page of calls. `path` and `query` are those of the request, for a page that names itself.
pub(super) fn page(
    shared: &Shared,
    parameters: &Parameters,
    (path, query): (&str, &str),
    fault: Option<&Fault>,
) -> Result<HttpResponse, Refusal> {
    let fields = fields(parameters, Form::Listed)?;
    let now = shared.options.now.unwrap_or_else(chrono::Utc::now);
    let range = Range::read(parameters, now)?;
    let per_page = parameters.per_page();
    let is_relative = parameters.get("relative_pagination") == Some("true");
    let before = if is_relative {
        parameters.number("offset").unwrap_or(0)
    } else {
        parameters.number("page").unwrap_or(1).max(1) - 1
    };

    let state = shared.state();
    let found = matching(shared, &state, parameters, range);
    let pages = found.len().div_ceil(per_page);
    let shown = match fault {
        Some(Fault::EndlessPages) => before.min(pages.saturating_sub(1)),
        _ => before,
    };
    let calls: Vec<Value> = found
        .iter()
        .skip(shown.saturating_mul(per_page))
        .take(per_page)
        .map(|&index| view(shared, &state, index, Form::Listed).object(&fields))
        .collect();
    drop(state);

    let next = match fault {
        Some(Fault::SelfPointingPage) => Some(format!("{}{path}?{query}", shared.origin)),
        Some(Fault::ForeignPage(address)) => Some(address.clone()),
        Some(Fault::EndlessPages) => Some(next_page(shared, parameters, before + 1, is_relative)),
        _ => (before + 1 < pages).then(|| next_page(shared, parameters, before + 1, is_relative)),
    };
    let body = if is_relative {
        json!({
            "has_next_page": next.is_some(),
            "next_page": next,
            "per_page": per_page,
            "calls": calls,
        })
    } else {
        json!({
            "page": before + 1,
            "per_page": per_page,
            "total_pages": pages.max(1),
            "total_records": found.len(),
            "calls": calls,
        })
    };
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        response.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    Ok(response.json(body))
}

fn fields(parameters: &Parameters, form: Form) -> Result<Fields, Refusal> {
    let asked: Vec<&str> = parameters
        .all("fields")
        .chain(parameters.all("fields[]"))
        .collect();
    Fields::read(&asked.join(","), form).ok_or(Refusal::bad_request("Invalid fields parameter"))
}

fn view<'a>(shared: &'a Shared, state: &'a State, index: usize, form: Form) -> CallView<'a> {
    CallView {
        account: &shared.account,
        call: &shared.account.calls[index],
        changed: state.changed(index),
        origin: &shared.origin,
        tags_are_objects: shared.options.tags_are_objects,
        form,
    }
}

/// The address of a page in `CallRail`'s own form: without `.json`, with the account's number.
fn next_page(shared: &Shared, parameters: &Parameters, before: usize, is_relative: bool) -> String {
    let address = format!("{}/v3/a/{ACCOUNT_NUMBER}/calls", shared.origin);
    let (offset, page) = if is_relative { (before, 1) } else { (0, before + 1) };
    let numbers = [offset, page, parameters.per_page()].map(|number| number.to_string());
    let own = [
        ("action", "index"),
        ("agency_id", ACCOUNT_NUMBER),
        ("api_version", "v3"),
        ("offset", &numbers[0]),
        ("page", &numbers[1]),
        ("per_page", &numbers[2]),
    ];
    let given = parameters
        .pairs()
        .filter(|(name, _)| !PAGE_PARAMETERS.contains(name));
    // The origin is that of a listener, so that this is always a URL.
    Url::parse_with_params(&address, own.into_iter().chain(given)).map_or(address, String::from)
}

/// The places of the calls that the request asks for, in the order asked for.
fn matching(shared: &Shared, state: &State, parameters: &Parameters, range: Range) -> Vec<usize> {
    let calls = &shared.account.calls;
    let first = calls.partition_point(|call| call.start < range.from);
    let end = calls.partition_point(|call| call.start <= range.until).max(first);
    let filters = Filters::read(parameters);
    let mut found: Vec<usize> = (first..end)
        .filter(|&index| state.is_visible(index) && filters.allow(&view(shared, state, index, Form::Listed)))
        .collect();
    let key = |index: usize| {
        let facts = &calls[index].facts;
        match parameters.get("sort") {
            Some("duration") => format!("{:010}", facts.duration),
            Some("customer_name") => facts.caller.cnam.clone(),
            Some("customer_phone_number") => facts.caller.number.clone(),
            // The order they are in, and that of everything unknown.
            _ => String::new(),
        }
    };
    if matches!(
        parameters.get("sort"),
        Some("duration" | "customer_name" | "customer_phone_number")
    ) {
        found.sort_by_cached_key(|&index| key(index));
    }
    if parameters.get("order") != Some("asc") {
        found.reverse();
    }
    found
}

/// What calls must be like. Unknown values ask for nothing, and are no error.
struct Filters<'a> {
    company: Option<&'a str>,
    tracker: Option<&'a str>,
    answer_status: Option<&'a str>,
    call_type: Option<&'a str>,
    direction: Option<&'a str>,
    lead_status: Option<&'a str>,
    tags: Vec<&'a str>,
    search: Option<String>,
}

impl<'a> Filters<'a> {
    fn read(parameters: &'a Parameters) -> Self {
        let tags = parameters.all("tags").chain(parameters.all("tags[]"));
        Self {
            company: parameters.get("company_id"),
            tracker: parameters.get("tracker_id"),
            answer_status: parameters.get("answer_status"),
            call_type: parameters.get("call_type"),
            direction: parameters.get("direction"),
            lead_status: parameters.get("lead_status"),
            tags: tags.flat_map(|tags| tags.split(',')).collect(),
            search: parameters.get("search").map(str::to_lowercase),
        }
    }

    fn allow(&self, view: &CallView) -> bool {
        let facts = &view.call.facts;
        let is_missed = !facts.answered && !facts.voicemail;
        let answer_status = match self.answer_status {
            Some("answered") => facts.answered,
            Some("missed") => is_missed,
            Some("voicemail") => facts.voicemail,
            _ => true,
        };
        let call_type = match self.call_type {
            Some("first_call") => facts.caller.prior_calls == 0,
            Some("missed") => is_missed,
            Some("voicemails") => facts.voicemail,
            Some(direction @ ("inbound" | "outbound")) => facts.direction == direction,
            _ => true,
        };
        let direction = match self.direction {
            Some(direction @ ("inbound" | "outbound")) => facts.direction == direction,
            _ => true,
        };
        let lead_status = match self.lead_status {
            Some("not_scored") => view.lead_status().is_none(),
            Some(status @ ("good_lead" | "not_a_lead")) => view.lead_status() == Some(status),
            _ => true,
        };
        answer_status
            && call_type
            && direction
            && lead_status
            && self
                .company
                .is_none_or(|company| company == view.account.company_id)
            && self.tracker.is_none_or(|tracker| tracker == view.tracker().id)
            && (self.tags.is_empty() || view.tags().iter().any(|tag| self.tags.contains(tag)))
            && self.search.as_deref().is_none_or(|term| is_found(view, term))
    }
}

fn is_found(view: &CallView, term: &str) -> bool {
    let caller = &view.call.facts.caller;
    let tracker = view.tracker();
    [
        caller.cnam.as_str(),
        caller.number.as_str(),
        view.note(),
        tracker.source,
        tracker.number,
    ]
    .iter()
    .any(|text| text.to_lowercase().contains(term))
}
