//! Webhooks as CallRail posts them: real bodies, signed, as whole HTTP requests.

use std::sync::Arc;

use actix_web::web::Bytes;
use callrail::WebhookKind;
use callrail_simulator::{SimulatedAccount, SimulatedDelivery};
use chrono::Utc;

/// Post-Call bodies have about 4 kB.
pub(crate) const POST_CALL: [WebhookKind; 2] = [WebhookKind::PostCall, WebhookKind::OutboundPostCall];

/// The people of an account are always the same from so many calls on.
const ENOUGH_CALLS: usize = 1_600;

/// An account with so many calls, and not fewer than it takes to be with the same people as any other.
pub(crate) fn account(calls: usize) -> SimulatedAccount {
    SimulatedAccount::generate(4, calls.max(ENOUGH_CALLS), Utc::now())
}

/// The deliveries of these kinds, as requests.
pub(crate) fn requests(account: &SimulatedAccount, kinds: &[WebhookKind]) -> Arc<[Bytes]> {
    let deliveries = account.calls.iter().flat_map(|call| &call.deliveries);
    let wanted = deliveries.filter(|delivery| kinds.contains(&delivery.kind));
    wanted.map(|delivery| request(account, delivery)).collect()
}

/// One delivery as a request, with CallRail's headers.
pub(crate) fn request(account: &SimulatedAccount, delivery: &SimulatedDelivery) -> Bytes {
    let head = format!(
        "POST /api/webhooks/callrail/{} HTTP/1.1\r\nhost: localhost\r\nuser-agent: CallRail Webhook/1.0\r\n\
         accept: */*\r\naccept-encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\n\
         content-type: application/json\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
        delivery.kind.path(),
        callrail::SIGNATURE_HEADER,
        account.signature(&delivery.body),
        delivery.body.len(),
    );
    [head.as_bytes(), &delivery.body].concat().into()
}
