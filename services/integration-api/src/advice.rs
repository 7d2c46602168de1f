//! What to do when CallRail's API gives no good answer; for the HTTP API and the command line alike.

use callrail::client::{ApiError, BudgetError, Outage};

/// What is wrong, and the next step. For people: holds no key and nothing of an answer.
pub fn advice(error: &ApiError) -> &'static str {
    match error {
        ApiError::Unauthorized { .. } => {
            "CallRail does not accept the key: set CALLRAIL_API_KEY to a key from Settings, Integrations, API Keys in \
             CallRail"
        }
        ApiError::Forbidden { .. } => {
            "CallRail does not allow this to the user whose key CALLRAIL_API_KEY is: see whether CALLRAIL_ACCOUNT_ID is \
             that user's account, or take the key of an administrator"
        }
        ApiError::NotFound { .. } => {
            "CallRail does not know this account, or not for this key: compare CALLRAIL_ACCOUNT_ID with the number in \
             the address of CallRail's pages"
        }
        ApiError::RateLimited { .. } => {
            "CallRail takes no more requests for this account now: try again later"
        }
        ApiError::Budget(BudgetError::Exhausted { .. }) => {
            "The requests to CallRail that were allowed for now are used up: try again later"
        }
        ApiError::Budget(BudgetError::Unavailable { .. }) => "The database is not available: try again soon",
        ApiError::Unavailable { source } => match source {
            Outage::Status(_) => {
                "CallRail's API answers that it is out of order: wait, and look at its status page"
            }
            Outage::NoAnswer(_) => {
                "CallRail's API does not answer: see whether this machine can reach it, then try again"
            }
            Outage::CutShort(_) => {
                "CallRail's answer broke off: try again, and if it stays so, see what stands between this machine and \
                 CallRail"
            }
            Outage::TooLong(_) => {
                "CallRail's answer has no end: see whether CALLRAIL_API_URL is right, and whether a proxy stands in \
                 between"
            }
            Outage::NotJson => NOT_THE_API,
        },
        ApiError::Redirected => NOT_THE_API,
        ApiError::ForeignPage | ApiError::EndlessPages => {
            "The pages of CallRail's answer do not end, or lead elsewhere: see whether CALLRAIL_API_URL is right"
        }
        ApiError::Credential(_) => "The file with CallRail's key cannot be read: see CALLRAIL_API_KEY_FILE",
        ApiError::Invalid { .. } | ApiError::Unexpected(_) => {
            "CallRail's API answers otherwise than expected: see the log"
        }
    }
}

const NOT_THE_API: &str = "What answers is not CallRail's API, but a page: see whether CALLRAIL_API_URL is right, and \
                           whether a proxy stands in between";
